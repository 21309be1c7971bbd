"""What the SCIM server should hold, worked out from the store alone."""

from clients import ENTERPRISE

# Who gets an account: the filter of the target, and the same rule in Python.
FILTER = 'status eq "active" and not (groups eq "contractors")'


def name_of(container):
    """The name of a group or organization, given as a name or as an object."""
    return container["displayName"] if isinstance(container, dict) else container


def groups_of(account):
    return [name_of(group) for group in account.get("groups") or []]


def is_in_scope(account):
    """`FILTER` in Python, so that the demo does not have to believe provisiond."""
    return account["status"] == "active" and "contractors" not in groups_of(account)


def expected(account):
    """What is compared of the user that belongs to an account."""
    attributes = account["attributes"]
    names = [attributes.get("givenName"), attributes.get("familyName")]
    organization = account.get("organization")
    return {
        "userName": account["userName"],
        "externalId": account.get("externalId"),
        "displayName": account.get("displayName") or " ".join(filter(None, names)) or None,
        "givenName": names[0],
        "familyName": names[1],
        "title": attributes.get("title"),
        "active": True,
        "emails": attributes.get("emails") or [],
        "department": attributes.get("department"),
        "employeeNumber": attributes.get("employeeNumber"),
        "organization": name_of(organization) if organization else None,
    }


def actual(user):
    """The same of a user that the SCIM server holds."""
    name, enterprise = user.get("name") or {}, user.get(ENTERPRISE) or {}
    return {
        "userName": user["userName"],
        "externalId": user.get("externalId"),
        "displayName": user.get("displayName"),
        "givenName": name.get("givenName"),
        "familyName": name.get("familyName"),
        "title": user.get("title"),
        "active": user.get("active"),
        "emails": [email["value"] for email in user.get("emails") or []],
        "department": enterprise.get("department"),
        "employeeNumber": enterprise.get("employeeNumber"),
        "organization": enterprise.get("organization"),
    }


def difference(account, user):
    """What is wrong with the user of an account, or None."""
    if user is None:
        return f"{account['userName']}: is missing"
    wanted, found = expected(account), actual(user)
    wrong = [f"{name} is {found[name]!r} instead of {wanted[name]!r}" for name in wanted if wanted[name] != found[name]]
    return f"{account['userName']}: {', '.join(wrong)}" if wrong else None


def compare(accounts, users):
    """How many users are as they should be, and every difference in words."""
    by_name = {user["userName"]: user for user in users}
    wanted = [account for account in accounts if is_in_scope(account)]
    differences = [difference(account, by_name.pop(account["userName"], None)) for account in wanted]
    differences = [words for words in differences if words]
    right = len(wanted) - len(differences)
    lingering = [f"{name}: should not be there" for name in by_name]
    return right, differences + lingering
