"""The manual says what the program does: links lead somewhere, and routes, verdicts and settings are the same in both."""

import os
import re
import subprocess
import urllib.request

import pytest

from relay import BINARY, ROOT

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", ROOT / "board/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
REQUEST = re.compile(r"`(GET|POST|PUT|PATCH|DELETE|OPTIONS) (/[^`\s]*)`")
KEY_ROW = re.compile(r"^\| `([a-z][\w.]*)` \|", re.M)
# a path before the arrow of a match, or in the list of pages
ROUTE = re.compile(r'^\s*((?:"/[^"]*"\s*\|?\s*)+)(?:if [^=]*)?=>|(?:page|packed)\(\s*"(/[^"]*)"', re.M)
LIST = re.compile(r"const \w+: \[&str; \d+\] = \[([^\]]*)\]")
UNKNOWN = "zzzzzzzzzzzzzzzzzzzzzzzz"


def prose(page):
    """A page without its examples, in which brackets are no links."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documented(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_or_heading_that_is_there(page):
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_of_the_manual_can_be_found_from_its_index():
    linked = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in LINK.findall(documented("README.md"))}
    decisions = ROOT / "docs/decisions"
    linked |= {decisions / link for link in LINK.findall((decisions / "README.md").read_text(encoding="utf-8"))}
    assert not [str(page) for page in ROOT.glob("docs/**/*.md") if page not in linked and page != ROOT / "docs/README.md"]


def asked(relay, method, path):
    """Status and text of an answer; of one that does not end by itself only the status."""
    if not path.endswith("/follow"):
        status, _, text = relay.ask(method, path)
        return status, text
    with urllib.request.urlopen(relay.url + path, timeout=10) as response:
        return response.status, ""


def test_every_route_of_the_manual_is_answered(porthole):
    relay = porthole({"cam": "test:"}, webtorrent={})
    requests = REQUEST.findall(documented("api.md"))
    assert len(requests) > 50
    refused = []
    for method, path in requests:
        # what the names stand for; a session that is not there is told from an address that is not there by its text
        path = path.replace("NAME", "cam").replace("URL", "test:").replace("ID", "0" * 32).replace("CODEC", "opus").replace("SECONDS", "1")
        status, text = asked(relay, method, path)
        if status in (405, 501) or "there is no such address" in text or "there is no such page" in text:
            refused.append(f"{method} {path}: {status} {text}")
    assert not refused


def test_every_route_of_the_program_is_in_the_manual(porthole):
    found = set()
    for source in ROOT.glob("src/http/**/*.rs"):
        if "tests" in source.parts or "test" in source.name:
            continue
        code = source.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
        for arms, page in ROUTE.findall(code):
            found |= set(re.findall(r'"(/[^"]*)"', arms)) | ({page} if page else set())
        for listed in LIST.findall(code):
            found |= set(re.findall(r'"(/[^"]*)"', listed))
    assert len(found) > 35 and {"/api/streams", "/wall", "/api/ws"} <= found, found
    relay = porthole({"cam": "test:"})
    told = set(re.findall(r"(?<![\w/])(/[\w./]*)", documented("api.md")))
    # the words of a pattern that matches something else than paths are no routes
    assert not {path for path in found if path not in told and relay.get(path)[0] != 404}


def test_every_address_of_go2rtc_that_is_missing_is_told(porthole):
    relay = porthole({"cam": "test:"})
    text = documented("api.md").split("## Addresses of go2rtc that are not here")[1]
    named = [path if path.startswith("/") else f"/api/stream{path}" for path in re.findall(r"`(/api/[\w.]+|\.\w+)`", text)]
    assert len(named) > 15
    assert not [path for path in named if relay.get(path)[0] != 501]
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("src/http/**/*.rs"))
    listed = re.search(r"const NOT_HERE: [^=]*= \[(.*?)\];", source, re.S).group(1)
    assert {f"/api/{word}" for word in re.findall(r'"([^"]+)"', listed)} == set(named)


def test_the_manual_and_the_program_know_the_same_verdicts():
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("src/doctor/**/*.rs") if "test" not in path.name)
    known = set(re.findall(r"^\s+(D\d\d),$", source, re.M))
    assert len(known) >= 17
    assert known == set(re.findall(r"^## (D\d\d)$", documented("doctor.md"), re.M))


def keys_of(section):
    """What `porthole check` says that a section knows, when it is given a key that resembles none."""
    inline = f"{{{UNKNOWN}: info}}"
    for part in reversed(section):
        inline = f"{{{part}: {inline}}}"
    run = subprocess.run([BINARY, "-c", inline, "check"], capture_output=True, text=True, check=False)
    listed = re.search(rf"{UNKNOWN}: unknown key, known here: (.+)", run.stderr)
    assert listed, run.stderr
    return listed.group(1).split(", ")


def test_the_manual_and_the_program_know_the_same_settings():
    sections = [[], ["api"], ["webrtc"], ["webrtc", "filters"], ["relay"], ["webtorrent"], ["webtorrent", "shares", "NAME"], ["echo"], ["log"], ["streams", "NAME"]]
    known = {".".join([*section, key]) for section in sections for key in keys_of(section)}
    # a section is a heading of the page unless it means something by itself; `level` is no module
    known -= {"api", "webrtc", "relay", "echo", "log", "webrtc.filters"}
    known |= {"log.level"}
    assert known == set(KEY_ROW.findall(documented("configuration.md")))


def test_every_variable_of_the_environment_is_one_that_the_program_reads():
    text = documented("configuration.md").split("## The environment")[1]
    named = re.findall(r"`([A-Z_]{6,})`", text)
    assert len(named) > 5
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("src/**/*.rs"))
    assert not [name for name in named if f'"{name}"' not in source]


def test_commands_of_the_readme_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)((?:tests|image)/[\w/]+)", text, re.M))
    assert {"tests/run", "image/build", "tests/bench/run"} <= named
    assert not [path for path in named if not (ROOT / path).is_file()]
    board = re.search(r"image/build ([\w-]+)", text).group(1)
    assert (ROOT / "board" / board / "board.yaml").exists()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Where the certificate is that an example names."""
    folder = tmp_path_factory.mktemp("relay")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=relay"]
    subprocess.run([*made, "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"], check=True, capture_output=True)
    return folder


def settings_in(page):
    """Examples of settings; those of one stream get the section that they belong to."""
    for example in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        if example.startswith("go2rtc:"):  # another program's
            continue
        if not re.match(r"(streams|api|webrtc|webtorrent|log):", example):
            example = "streams:\n" + "".join(f"  {line}\n" for line in example.splitlines())
        yield example


@pytest.mark.parametrize("page", [page for page in PAGES if any(settings_in(page))], ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_settings_pass_a_check(page, tmp_path, certificate):
    variables = {"MILESTONE": "x", "TURN_PASSWORD": "x", "SHARE": "0123456789abcdef0123456789abcdef"}
    for number, example in enumerate(settings_in(page)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(example.replace("/etc/ssl/relay", str(certificate)))
        run = subprocess.run([BINARY, "check", file], env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        # this machine may have other interfaces
        complaints = [line for line in run.stderr.splitlines() if not re.search(r"webrtc\.filters\.(interfaces|ips|candidates): ", line)]
        assert (run.returncode, complaints) == (0, []), f"{example}\n{run.stderr}"
