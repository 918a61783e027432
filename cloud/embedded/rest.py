"""The cloud as any client sees it: a token, and calls to its services. Nothing here knows the inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import requests

from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

TIMEOUT = 30.0


class RestError(Trouble):
    """The cloud answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cloud:
    """The user admin of one cloud. Paths are from the root: `/compute/v2.1/servers`."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.local_url
        self._password = settings["ADMIN_PASSWORD"]
        self._token = ""
        self._session = requests.Session()
        self._session.trust_env = False  # the cloud is on this machine: no proxy of the shell's
        self._session.verify = settings.ca_file or True

    def get(self, path: str, *, microversion: str = "") -> Any:
        """The reply's JSON."""
        return self.call("GET", path, microversion=microversion).json()

    def post(self, path: str, body: Any, *, microversion: str = "") -> Any:
        """The reply's JSON, or None when it has no body."""
        reply = self.call("POST", path, json=body, microversion=microversion)
        return reply.json() if reply.content else None

    def delete(self, path: str, *, microversion: str = "") -> None:
        """Deletes; what is gone already is well."""
        try:
            self.call("DELETE", path, microversion=microversion)
        except RestError as error:
            if error.status != 404:
                raise

    def upload(self, path: str, data: BinaryIO) -> None:
        """PUTs bytes."""
        self.call("PUT", path, data=data, headers={"Content-Type": "application/octet-stream"}, timeout=600.0)

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        microversion: str = "",
        timeout: float = TIMEOUT,
    ) -> requests.Response:
        """One call with a token. Raises RestError with the cloud's own message, Trouble when nothing answers."""
        sent = {"X-Auth-Token": self._token or self._log_in(), "Accept": "application/json", **(headers or {})}
        if microversion:
            sent["OpenStack-API-Version"] = f"compute {microversion}"
        try:
            reply = self._session.request(
                method, self._base + path, json=json, data=data, headers=sent, timeout=timeout
            )
        except requests.RequestException as error:
            raise Trouble(f"{method} {self._base}{path}: {error}") from error
        if reply.status_code >= 400:
            raise RestError(reply.status_code, f"{method} {path} answered {reply.status_code}: {_message(reply)}")
        return reply

    def _log_in(self) -> str:
        user = {"name": "admin", "domain": {"id": "default"}, "password": self._password}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
            }
        }
        url = self._base + "/identity/v3/auth/tokens"
        try:
            reply = self._session.post(url, json=body, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise Trouble(f"POST {url}: {error}") from error
        if reply.status_code != 201:
            raise RestError(
                reply.status_code, f"the cloud does not let admin in: {reply.status_code} {_message(reply)}"
            )
        self._token = reply.headers["X-Subject-Token"]
        return self._token


def _message(reply: requests.Response) -> str:
    """What the error says, whatever service's shape it has."""
    try:
        body = reply.json()
    except ValueError:
        return reply.text[:300]
    if isinstance(body, dict):
        for inner in (body, *body.values()):
            if isinstance(inner, dict) and "message" in inner:
                return str(inner["message"])
    return str(body)[:300]
