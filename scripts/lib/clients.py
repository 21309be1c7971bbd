"""The two HTTP interfaces that the demo talks to; only what it needs."""

import json
import urllib.error
import urllib.parse
import urllib.request

from processes import Failure

# A proxy of the environment is none of the loopback's business.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Refused(Failure):
    """An answer with a status of 400 or more."""

    def __init__(self, method, url, status, text):
        super().__init__(f"{method} {url} was answered with {status}:\n{text[:2000]}")
        self.status = status


class Client:
    """JSON over HTTP with a bearer token."""

    def __init__(self, base, token="", media_type="application/json"):
        self.base, self.token, self.media_type = base, token, media_type

    def call(self, method, path, body=None):
        """The body of the answer; `Refused` when the answer is no."""
        headers = {"Accept": self.media_type}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = self.media_type
        url = self.base + path
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with OPENER.open(request, timeout=60) as answer:
                text, kind = answer.read(), answer.headers.get_content_subtype()
        except urllib.error.HTTPError as error:
            raise Refused(method, url, error.code, error.read().decode(errors="replace")) from None
        except OSError as error:
            raise Failure(f"{method} {url} was not answered: {error}") from None
        # Health answers are plain words.
        return json.loads(text) if text and kind.endswith("json") else None

    def answers(self, path):
        """Whether a GET is answered well."""
        try:
            self.call("GET", path)
        except Failure:
            return False
        return True

    def status_of(self, path):
        """The status of the answer to a GET."""
        try:
            self.call("GET", path)
        except Refused as refused:
            return refused.status
        return 200


class Provisiond(Client):
    """The REST API of provisiond."""

    def get(self, path):
        return self.call("GET", "/api/v1" + path)

    def post(self, path, body):
        return self.call("POST", "/api/v1" + path, body)

    def put(self, path, body):
        return self.call("PUT", "/api/v1" + path, body)

    def patch(self, path, body):
        return self.call("PATCH", "/api/v1" + path, body)

    def delete(self, path):
        return self.call("DELETE", "/api/v1" + path)

    def all(self, path):
        """Every item of a list, page by page."""
        items, cursor = [], None
        while True:
            query = {"limit": 500} | ({"cursor": cursor} if cursor else {})
            page = self.get(f"{path}?{urllib.parse.urlencode(query)}")
            items += page["items"]
            cursor = page.get("next")
            if not cursor:
                return items

    def named(self, path, name):
        """The item of that name, or None."""
        return next((item for item in self.all(path) if item["name"] == name), None)


class Scim(Client):
    """A SCIM 2.0 server."""

    def __init__(self, base, token):
        super().__init__(base, token, "application/scim+json")

    def count(self):
        """How many users it holds."""
        return self.call("GET", "/Users?count=0")["totalResults"]

    def users(self):
        """Every user, page by page."""
        users = []
        while True:
            page = self.call("GET", f"/Users?startIndex={len(users) + 1}&count=200")
            users += page.get("Resources", [])
            if len(users) >= page["totalResults"] or not page.get("Resources"):
                return users

    def is_gone(self, user_id):
        """Whether there is no user of that id."""
        return self.status_of(f"/Users/{urllib.parse.quote(user_id)}") == 404
