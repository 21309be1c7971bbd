#!/usr/bin/env python3
"""Writes samples/personnel.jsonl: what a personnel system could export.

Everybody in it is made up: given and family names are drawn at random from the
lists below, addresses end in `.example` (RFC 2606) and telephone numbers are from
ranges that are kept free for fiction. The same call always writes the same file:

    scripts/lib/make-samples.py > samples/personnel.jsonl
"""

import argparse
import json
import random
import sys
from datetime import date, timedelta

TODAY = date(2026, 9, 1)

# Locale, whether the family name comes first, given names, family names; each
# name with the Latin letters that stand for it in user names.
CULTURES = [
    ("en-GB", False,
     "Ada Grace Alan Edith Rosalind Oliver Hazel Winifred Duncan Maeve Callum Imogen",
     "Whitcombe Ashdown O'Hara Fairweather MacAllister Hollis Penrose Thackeray Oakley St.Clair"),
    ("de-DE", False,
     "Jürgen=juergen Käthe=kaethe Björn=bjoern Anneliese Gülnur=guelnur Matthias Heike Sören=soeren Ute Anselm",
     "Müller=mueller Groß=gross Schäfer=schaefer Vogelsang Köhler=koehler Strauß=strauss Brandt Öztürk-Lang=oeztuerk-lang"),
    ("fr-FR", False,
     "Zoé=zoe François=francois Chloé=chloe Gaël=gael Noémie=noemie Benoît=benoit Agnès=agnes Loïc=loic Héloïse=heloise",
     "Lefèvre=lefevre Dubœuf=duboeuf Saint-Rémy=saint-remy Garçon=garcon D'Aubigné=daubigne Pasquier Châtelain=chatelain"),
    ("pl-PL", False,
     "Łukasz=lukasz Małgorzata=malgorzata Jędrzej=jedrzej Święta=swieta Zofia Żaneta=zaneta Paweł=pawel Grażyna=grazyna",
     "Wójcik=wojcik Dąbrowska=dabrowska Śliwa=sliwa Żółty=zolty Nowicka Chrząszcz=chrzaszcz Błażejewski=blazejewski"),
    ("cs-CZ", False,
     "Jiří=jiri Šárka=sarka Ondřej=ondrej Věra=vera Tomáš=tomas Květa=kveta Zdeněk=zdenek",
     "Dvořák=dvorak Růžička=ruzicka Němcová=nemcova Kříž=kriz Šťastný=stastny Žďárský=zdarsky"),
    ("tr-TR", False,
     "Işıl=isil İlker=ilker Gülşen=gulsen Çağla=cagla Oğuz=oguz Şebnem=sebnem Tuğba=tugba",
     "Yıldız=yildiz Şahin=sahin Çelik=celik Güneş=gunes Öğretmen=ogretmen Kılıç=kilic"),
    ("is-IS", False,
     "Þóra=thora Björk=bjork Æsa=aesa Guðrún=gudrun Sævar=saevar Örn=orn",
     "Jónsdóttir=jonsdottir Þórsson=thorsson Ægisdóttir=aegisdottir Sigurðsson=sigurdsson"),
    ("vi-VN", True,
     "Thị~Hương=huong Đức=duc Quỳnh=quynh Tuấn=tuan Mỹ~Duyên=duyen Phượng=phuong",
     "Nguyễn=nguyen Trần=tran Phạm=pham Đặng=dang Vũ=vu Bùi=bui"),
    ("es-ES", False,
     "Íñigo=inigo Begoña=begona José~María=josemaria Lucía=lucia Ramón=ramon Nuria Álvaro=alvaro",
     "Muñoz~Ibáñez=munoz-ibanez García~López=garcia-lopez Núñez=nunez Peña=pena de~la~Cruz=delacruz"),
    ("hu-HU", True,
     "Győző=gyozo Ágnes=agnes Ödön=odon Zsófia=zsofia Béla=bela Tünde=tunde",
     "Kovács=kovacs Szőke=szoke Nagy Fehér=feher Őry=ory"),
    ("ru-RU", False,
     "Алексей=aleksey Надежда=nadezhda Фёдор=fyodor Юлия=yulia Пётр=pyotr Ксения=ksenia Щепан=shchepan",
     "Соловьёв=solovyov Журавль=zhuravl Морозенко=morozenko Чайка=chayka Ольховский=olkhovsky"),
    ("uk-UA", False,
     "Олена=olena Євген=yevhen Їванна=yivanna Ярослав=yaroslav Соломія=solomiia Тарас=taras",
     "Шевчук=shevchuk Ґалаґан=galagan Коваль=koval Мельниченко=melnychenko"),
    ("el-GR", False,
     "Ελένη=eleni Γιώργος=giorgos Αθηνά=athina Στέλιος=stelios Χρύσα=chrysa Νίκος=nikos",
     "Παπαδάκης=papadakis Οικονόμου=oikonomou Ξενάκη=xenaki Βασιλείου=vasileiou"),
    ("ar-EG", False,
     "ليلى=layla يوسف=yusuf مريم=maryam خالد=khalid نور=nour عائشة=aisha طارق=tariq",
     "الخطيب=alkhatib حدّاد=haddad منصور=mansour الشريف=alsharif قاسم=qasim"),
    ("fa-IR", False,
     "شیرین=shirin پرویز=parviz گلنار=golnar ژاله=jaleh کیان=kian",
     "فرهادی=farhadi رضایی=rezaei گلستانی=golestani"),
    ("he-IL", False,
     "נועה=noa יונתן=yonatan שירה=shira אבנר=avner תמר=tamar",
     "כהני=kohani בן־דוד=ben-david לבנון=levanon פרץ=peretz"),
    ("hi-IN", False,
     "अनिता=anita राजेश=rajesh प्रिया=priya विक्रम=vikram लक्ष्मी=lakshmi कृष्ण=krishna",
     "शर्मा=sharma गुप्ता=gupta त्रिपाठी=tripathi चौधरी=chaudhary"),
    ("bn-BD", False,
     "রহিমা=rahima সৌরভ=sourav তানিয়া=tania অনির্বাণ=anirban",
     "চৌধুরী=chowdhury সরকার=sarkar দাস=das"),
    ("ta-IN", False,
     "கவிதா=kavitha முருகன்=murugan செல்வி=selvi அருண்=arun",
     "சுந்தரம்=sundaram இளங்கோ=ilango வேலன்=velan"),
    ("zh-CN", True,
     "伟明=weiming 静怡=jingyi 建国=jianguo 梓涵=zihan 雪=xue 子轩=zixuan",
     "王=wang 李=li 欧阳=ouyang 陈=chen 諸葛=zhuge 𠮷田=jitian"),
    ("ja-JP", True,
     "さくら=sakura 健太=kenta 美咲=misaki 翔=sho ハナ=hana 悠斗=yuto",
     "佐藤=sato 鈴木=suzuki 髙橋=takahashi 渡邊=watanabe 斎藤=saito"),
    ("ko-KR", True,
     "지우=jiwoo 민준=minjun 서연=seoyeon 하늘=haneul 은지=eunji",
     "김=kim 이=lee 박=park 남궁=namgung 최=choi"),
    ("th-TH", False,
     "สมชาย=somchai มาลี=malee ณัฐพล=nattaphon พิมพ์ใจ=phimchai",
     "แสงทอง=saengthong ศรีสุข=srisuk วงศ์ใหญ่=wongyai"),
    ("hy-AM", False,
     "Անահիտ=anahit Տիգրան=tigran Շուշան=shushan Վահե=vahe",
     "Գրիգորյան=grigoryan Սարգսյան=sargsyan Հովհաննիսյան=hovhannisyan"),
    ("ka-GE", False,
     "ნინო=nino გიორგი=giorgi თამარ=tamar ლევან=levan",
     "ბერიძე=beridze კაპანაძე=kapanadze ჭავჭავაძე=chavchavadze"),
    ("am-ET", False,
     "ሰላም=selam ዳዊት=dawit ትዕግስት=tigist አበበ=abebe",
     "ተስፋዬ=tesfaye ከበደ=kebede ገብረማርያም=gebremariam"),
    # One name only, as is usual in places.
    ("id-ID", False, "Sukarti Wulandari Hartono Ningsih Prabowo Yulianti", ""),
]

ORGANIZATIONS = {
    "Harbour & Vale Shipping": ("harbour-vale.example", "HV"),
    "Institut für Küstenforschung": ("kuestenforschung.example", "IK"),
}

# Department, its share, its titles from the top down; the first one leads.
DEPARTMENTS = {
    "Logistics": (22, ["Head of Logistics", "Shift Lead", "Dispatcher", "Forklift Operator", "Clerk"]),
    "Engineering": (20, ["Chief Engineer", "Staff Engineer", "Engineer", "Technician"]),
    "Research": (16, ["Director of Research", "Principal Scientist", "Scientist", "Laboratory Assistant"]),
    "Sales": (14, ["Head of Sales", "Account Manager", "Sales Representative"]),
    "Information Technology": (9, ["Head of IT", "Systems Administrator", "Service Desk Agent"]),
    "Finance & Controlling": (7, ["Chief Financial Officer", "Controller", "Accountant"]),
    "People": (5, ["Head of People", "Recruiter", "Payroll Specialist"]),
    "Legal": (3, ["General Counsel", "Paralegal"]),
    "Forschung / Entwicklung": (4, ["Leitung F+E", "Projektleitung", "Mitarbeit"]),
}

PHONES = ["+44 20 7946 0{:03d}", "+1 202 555 01{:02d}", "+61 2 5550 0{:03d}"]


def names(text):
    """Pairs of a name and the Latin letters for it; `~` stands for a space."""
    for word in text.split():
        name, _, latin = word.partition("=")
        name = name.replace("~", " ").replace("St.Clair", "St. Clair")
        yield name, latin or "".join(c for c in name.lower() if c.isascii() and c.isalpha())


class Personnel:
    """The people made so far, and chance."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.taken = set()
        self.leads = {}
        self.people = []

    def person(self, number):
        """Adds one more person."""
        chance = self.random
        locale, family_first, given_names, family_names = chance.choice(CULTURES)
        given, given_latin = chance.choice(list(names(given_names)))
        family, family_latin = chance.choice(list(names(family_names)) or [("", "")])
        organization = chance.choices(list(ORGANIZATIONS), [3, 2])[0]
        domain, prefix = ORGANIZATIONS[organization]
        user_name = self.user_name(given_latin, family_latin)
        attributes = {"givenName": given}
        if family:
            attributes["familyName"] = family
        if chance.random() > 0.02:
            attributes["emails"] = [f"{user_name}@{domain}"]
            if chance.random() < 0.1:
                attributes["emails"].append(f"{given_latin}{number}@mail.example")
        self.work(attributes, organization, prefix, number)
        attributes["locale"] = locale
        if chance.random() < 0.6:
            attributes["phoneNumbers"] = [chance.choice(PHONES).format(chance.randrange(100))]
        parts = [family, given] if family_first else [given, family]
        separator = "" if locale.startswith(("zh", "ja", "ko")) else " "
        account = {
            "userName": user_name,
            "externalId": f"{prefix}-{number:05d}",
            "displayName": separator.join(part for part in parts if part),
            "status": self.status(attributes),
            "attributes": attributes,
            "groups": self.groups(attributes),
            "organization": organization,
        }
        if chance.random() < 0.05:
            del account["displayName"]
        self.people.append(account)

    def user_name(self, given, family):
        """A user name that nobody has."""
        stem = f"{given}.{family}".strip(".")
        count = 1
        while (name := stem if count == 1 else f"{stem}{count}") in self.taken:
            count += 1
        self.taken.add(name)
        return name

    def work(self, attributes, organization, prefix, number):
        """Department, title, manager, dates, numbers; not everybody has all."""
        chance = self.random
        department = chance.choices(list(DEPARTMENTS), [share for share, _ in DEPARTMENTS.values()])[0]
        titles = DEPARTMENTS[department][1]
        external_id = f"{prefix}-{number:05d}"
        lead = self.leads.setdefault((organization, department), external_id)
        attributes["department"] = department
        attributes["employeeNumber"] = str(100_000 + number)
        if lead == external_id:
            attributes["title"] = titles[0]
        else:
            if chance.random() > 0.08:
                attributes["title"] = chance.choice(titles[1:])
            if chance.random() > 0.04:
                attributes["manager"] = lead
        start = TODAY - timedelta(days=chance.randrange(-60, 9000))
        attributes["startDate"] = start.isoformat()
        if chance.random() < 0.12:
            attributes["endDate"] = (start + timedelta(days=chance.randrange(90, 3000))).isoformat()
        if chance.random() > 0.1:
            attributes["costCenter"] = f"{prefix}-{list(DEPARTMENTS).index(department) + 1:02d}{chance.randrange(10)}0"
        attributes["employeeType"] = chance.choices(["employee", "contractor", "trainee"], [86, 9, 5])[0]

    def status(self, attributes):
        """Follows from the dates, but for a few who are suspended."""
        if attributes["startDate"] > TODAY.isoformat():
            return "pending"
        if attributes.get("endDate", "9999") < TODAY.isoformat():
            return "inactive"
        return "suspended" if self.random.random() < 0.01 else "active"

    def groups(self, attributes):
        """From what the person does."""
        groups = [attributes["department"].lower().replace(" / ", "-").replace(" & ", "-").replace(" ", "-")]
        groups.append({"employee": "staff", "contractor": "contractors", "trainee": "trainees"}[attributes["employeeType"]])
        if attributes.get("title", "").startswith(("Head", "Chief", "Director", "General", "Leitung")):
            groups.append("management")
        if self.random.random() < 0.08:
            groups.append("vpn-users")
        if self.random.random() < 0.05:
            groups.append("Betriebsrat & Gäste")
        return sorted(groups)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1200, help="how many accounts (default 1200)")
    parser.add_argument("--seed", type=int, default=7643, help="start of the random numbers (default 7643)")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    personnel = Personnel(arguments.seed)
    for number in range(1, arguments.count + 1):
        personnel.person(number)
    for account in personnel.people:
        json.dump(account, sys.stdout, ensure_ascii=False, separators=(", ", ": "))
        print()


if __name__ == "__main__":
    main()
