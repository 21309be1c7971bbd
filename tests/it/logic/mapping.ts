// Tests of `provisiond:mapping`, run the way an author's own tests are.
import { diff, equal, get, loginName, map, mergePatch, normalize, password, transliterate, uniqueName } from "provisiond:mapping";

export default async () => ({ status: "provisioned" });

const throws = async (work: () => unknown, words: RegExp) => {
  try {
    await work();
  } catch (error: any) {
    if (!words.test(error.message)) throw error;
    return;
  }
  throw new Error(`nothing was thrown that says ${words}`);
};

export const tests: Record<string, (t: any) => unknown> = {
  "text is normalized"(t) {
    t.equal(normalize("  Ada \t\n  Lovelace "), "Ada Lovelace");
    t.equal(normalize("Zoe\u0308"), "Zoë");
    t.equal(normalize("ADA@Example.ORG", { case: "lower" }), "ada@example.org");
    t.equal([normalize("  "), normalize(null), normalize(undefined), normalize(7)], [null, null, null, "7"]);
  },
  "names are written in ASCII"(t) {
    t.equal(transliterate("Łukasz Żółć, Zoë Þórðardóttir"), "Lukasz Zolc, Zoe Thordardottir");
    t.equal(transliterate("Jürgen Groß", { language: "de" }), "Juergen Gross");
    t.equal(transliterate("Jürgen Groß"), "Jurgen Gross");
    t.equal(transliterate("Åse Ørsted", { language: "da" }), "Aase Oersted");
    t.equal(transliterate("Юрий Щербаков"), "Yuriy Shcherbakov");
    t.equal(transliterate("Ελένη Παπαδοπούλου"), "Eleni Papadopoyloy");
    t.equal(transliterate("Nguyễn Văn Đức"), "Nguyen Van Duc");
    t.equal(transliterate("李 Ada 🙂", { unknown: "?" }), "? Ada ?");
    t.equal(transliterate("ﬁ ①"), "fi 1");
  },
  "log-in names are short and plain"(t) {
    t.equal(loginName(["Zoë", "de Vries"]), "zoe.devries");
    t.equal(loginName(["Jürgen", "O'Neill-Groß"], { language: "de", separator: "_" }), "juergen_oneill-gross");
    t.equal(loginName(["Bartholomew", "Featherstonehaugh"]), "bartholomew.feathers");
    t.equal(loginName(["Bartholomew-Alexan", null, "x", "y"], { maxLength: 19 }), "bartholomew-alexan");
    t.equal(loginName(["李"]), "");
  },
  async "taken names get a number"(t) {
    const taken = new Set(["ada", "ada2", "ada3"]);
    t.equal(await uniqueName("ada", (name) => taken.has(name)), "ada4");
    t.equal(await uniqueName("grace", async (name) => taken.has(name)), "grace");
    t.equal(await uniqueName("ada", (name) => taken.has(name), { maxLength: 3 }), "ad2");
    t.equal(await uniqueName("ada", (name) => name === "ada", { separator: "-", from: 1 }), "ada-1");
    await throws(() => uniqueName("x", () => true, { most: 3 }), /3 names beginning with "x" are taken/);
    await throws(() => uniqueName("", () => false), /empty/);
  },
  "differences have paths"(t) {
    const before = { name: { first: "Ada", last: "Byron" }, emails: [{ value: "a" }, { value: "b" }], gone: 1 };
    const after = { name: { first: "Ada", last: "Lovelace" }, emails: [{ value: "a" }], added: [1] };
    t.equal(diff(before, after).map(({ path }: any) => path), ["name.last", "emails[1]", "gone", "added"]);
    t.equal(diff({ a: 1, b: undefined }, { a: 1 }), []);
    t.equal(diff(1, 2), [{ path: "", before: 1, after: 2 }]);
    t.ok(equal({ a: [1, { b: null }], c: 2 }, { c: 2, a: [1, { b: null }] }));
    t.ok(!equal([], {}));
  },
  "patches are merge patches"(t) {
    t.equal(mergePatch({ a: 1, b: { c: 2, d: 3 }, e: [1] }, { a: 1, b: { c: 4 }, e: [1, 2] }), {
      b: { c: 4, d: null },
      e: [1, 2],
    });
    t.equal(mergePatch({ a: 1 }, { a: 1 }), undefined);
  },
  "passwords have what is asked for"(t) {
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const made = password({ length: 12, digits: 3, symbols: 2 });
      seen.add(made);
      t.equal(made.length, 12);
      t.ok(/[a-z]/.test(made) && /[A-Z]/.test(made), made);
      t.ok((made.match(/[0-9]/g) ?? []).length >= 3 && (made.match(/[-_.!#%+=]/g) ?? []).length >= 2, made);
      t.ok(!/[Il1O0o]/.test(made), made);
    }
    t.equal(seen.size, 200);
    t.ok(/^[0-9]{16}$/.test(password({ length: 16, lower: 0, upper: 0, symbols: 0, ambiguous: true })));
  },
  async "passwords that cannot be made are refused"() {
    await throws(() => password({ length: 8 }), /within 12 and 256/);
    await throws(() => password({ length: 12, digits: 13 }), /more is asked for/);
    await throws(() => password({ lower: 0, upper: 0, digits: 0, symbols: 0 }), /more is asked for/);
  },
  "records are mapped by rules"(t) {
    const account = { userName: "ada", attributes: { name: { given: "Ada" }, emails: [{ value: "a@x" }] } };
    t.equal(
      map(account, { uid: "userName", gn: "attributes.name.given", mail: "attributes.emails[0].value", no: "x.y", id: (a: any) => a.userName + 1 }),
      { uid: "ada", gn: "Ada", mail: "a@x", id: "ada1" },
    );
    t.equal(get(account, "attributes.constructor"), undefined);
  },
};
