"""A corpus of hostile files and names, sent, loaded and opened in a real browser: nothing runs in our origin."""

import contextlib
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Error

from gateway.server.app import listening
from tests.support.browser import Browser, open_browser
from tests.support.emulator import KEY, Emulator
from tests.support.file_client import error_of, target, uploaded
from tests.support.file_samples import CSV, GIF, HTML, PNG, SCRIPT, SVG, part, raw_form
from tests.support.gateway import Gateway, running_gateway

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
UNKNOWN, PNG_TYPE, GIF_TYPE, JPEG_TYPE = "application/octet-stream", "image/png", "image/gif", "image/jpeg"

# Name of the case: content, name, declared type, and the type under which it is served.
HOSTILE: dict[str, tuple[bytes, str, str, str]] = {
    "HTML": (HTML, "page.html", "text/html", UNKNOWN),
    "HTML called an image": (HTML, "page.png", "image/png", UNKNOWN),
    "HTML behind a comment": (b"<!-- a -->" + HTML, "a.gif", "image/gif", UNKNOWN),
    "HTML in UTF-16": (HTML.decode().encode("utf-16"), "a.jpg", "image/jpeg", UNKNOWN),
    "SVG with script": (SVG, "picture.svg", "image/svg+xml", UNKNOWN),
    "SVG called a PNG": (SVG, "picture.png", "image/png", UNKNOWN),
    "XML with a style sheet": (b'<?xml-stylesheet href="a"?>' + SVG, "a.xml", "text/xml", UNKNOWN),
    "script": (b"document.title = 'ran'", "a.js", "text/javascript", UNKNOWN),
    "PDF": (b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj", "a.pdf", "x/y", UNKNOWN),
    "a GIF that is a script": (b"GIF89a=1;document.title='ran';//" + GIF, "a.gif", "text/javascript", GIF_TYPE),
    "a GIF with HTML": (GIF + HTML, "a.html", "text/html", GIF_TYPE),
    "a PNG with HTML": (PNG[:-12] + HTML + PNG[-12:], "a.html", "text/html", PNG_TYPE),
    "a JPEG with HTML": (b"\xff\xd8\xff\xe0" + HTML, "a.html", "text/html", JPEG_TYPE),
    "almost a PNG": (PNG[:8] + HTML, "a.png", "image/png", UNKNOWN),
    "a page archive": (b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + HTML, "a.mhtml", "x/y", UNKNOWN),
    "an app cache": (b"CACHE MANIFEST\n/", "a.appcache", "text/cache-manifest", UNKNOWN),
    "a style sheet": (b"body { background: red }", "a.css", "text/css", UNKNOWN),
    "zeros": (bytes(1000), "a.png", "image/png", UNKNOWN),
}

NAMES = {
    "../../../etc/passwd": "passwd",
    "..\\..\\autoexec.bat": "autoexec.bat",
    "a%0D%0ASet-Cookie: stolen=1.csv": "aSet-Cookie_ stolen=1.csv",
    "a%22; filename=%22b.html": "a_; filename=_b.html",
    "invoice\u202efdp.exe": "invoicefdp.exe",
    "\u200b\u200d\ufeff": "file",
    ".htaccess": "htaccess",
    "nul.csv": "_nul.csv",
    "x" * 400 + ".csv": "x" * 196 + ".csv",
    "日本語 \U0001f600.csv": "日本語 \U0001f600.csv",
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_file_is_saved_or_shown_as_the_image_that_it_is(gateway: Gateway, case: str) -> None:
    content, name, declared, served = HOSTILE[case]
    sent = raw_form(part("file", content, name, f"Content-Type: {declared}\r\n"))
    made = await gateway.send("POST", "/files", data=sent["data"], headers={**sent["headers"], **AUTHORIZED})
    assert made.status == 201, made
    for method in ("GET", "HEAD"):
        reply = await gateway.send(method, target(made.json["contentUrl"]))
        assert reply.headers["Content-Type"] == served
        assert reply.headers["Content-Disposition"].startswith("attachment" if served == UNKNOWN else "inline")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in reply.headers["Content-Security-Policy"]
    whole = await gateway.send("GET", target(made.json["contentUrl"]))
    assert whole.body == content


async def test_a_part_from_the_middle_is_no_image_whatever_it_begins_with(gateway: Gateway) -> None:
    made = await uploaded(gateway, HTML + PNG, "a.png")
    reply = await gateway.send("GET", target(made["contentUrl"]), headers={"Range": f"bytes={len(HTML)}-"})
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (206, PNG, UNKNOWN)


@pytest.mark.parametrize("name", NAMES)
async def test_a_hostile_name_is_made_harmless_upstream_and_in_the_header(
    gateway: Gateway, emulator: Emulator, name: str
) -> None:
    sent = raw_form(part("file", CSV, name))
    made = await gateway.send("POST", "/files", data=sent["data"], headers={**sent["headers"], **AUTHORIZED})
    assert made.json["filename"] == NAMES[name]
    assert (await emulator.get(f"/files/{made.json['upstreamId']}"))["filename"] == NAMES[name]
    reply = await gateway.send("GET", target(made.json["contentUrl"]))
    disposition = reply.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="')
    assert "Set-Cookie" not in reply.headers
    assert disposition.isascii()
    assert disposition.isprintable()


async def test_a_hostile_name_of_the_upstream_is_made_harmless_too(emulator: Emulator, gateway: Gateway) -> None:
    form = raw_form(part("file", HTML, "../a%22%0D%0AX-Y: z;.html"), part("purpose", b"vision"))
    headers = {**form["headers"], **AUTHORIZED}
    async with emulator.session.post(f"{emulator.url}/files", data=form["data"], headers=headers) as response:
        file_id = (await response.json())["id"]
    found = await gateway.data("query ($id: ID!) { file(id: $id) { contentUrl } }", {"id": file_id})
    reply = await gateway.send("GET", target(found["file"]["contentUrl"]))
    assert "X-Y" not in reply.headers
    assert reply.headers["Content-Disposition"].startswith('attachment; filename="')


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no form": ({"data": b"x", "headers": {"Content-Type": "image/png"}}, 415, "Expected Content-Type"),
    "no boundary": ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 415, "with a boundary"),
    "no type": ({"data": b"x", "headers": {"Content-Type": ""}}, 415, "Expected Content-Type"),
    "JSON": ({"json": {"file": "x"}, "headers": {}}, 415, "Expected Content-Type"),
    "compressed": (
        {"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}},
        415,
        "without Content-Encoding",
    ),
    "no file": (raw_form(part("purpose", b"vision")), 400, "got none"),
    "zero bytes": (raw_form(part("file", b"", "a.txt")), 400, "got an empty one"),
    "two files": (raw_form(part("file", b"x", "a"), part("file", b"y", "b")), 400, "got two"),
    "another part": (raw_form(part("files[]", b"x", "a")), 400, 'got "files[]"'),
    "no end": (raw_form(part("file", b"x", "a"), ends=False), 400, "without its end"),
    "a name in another charset": (raw_form(part("file", b"x", "a").replace(b"a", b"\xff")), 400, "in UTF-8"),
    "a purpose with a line break": (raw_form(part("file", b"x", "a"), part("purpose", b"a\r\nb")), 400, "a word"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_form_is_refused_clearly_and_leaves_nothing(
    gateway: Gateway, emulator: Emulator, case: str
) -> None:
    options, status, expected = REFUSED[case]
    headers = {**options["headers"], **AUTHORIZED}
    before = len((await emulator.get("/files"))["data"])
    got, code, message = error_of(await gateway.send("POST", "/files", **{**options, "headers": headers}))
    assert (got, code) == (status, "BAD_USER_INPUT")
    assert expected in message
    assert len((await emulator.get("/files"))["data"]) == before


async def opened(browser: Browser, address: str) -> list[str]:
    """Open an address as a page. Returns the names of what the browser saves in place of showing it."""
    downloads: list[str] = []
    browser.page.on("download", lambda download: downloads.append(download.suggested_filename))
    with contextlib.suppress(Error):  # of a page that becomes a download
        await browser.page.goto(address)
    return downloads


@pytest.mark.browser
@pytest.mark.timeout(240)
async def test_nothing_runs_in_the_gateways_origin(emulator: Emulator) -> None:
    async with running_gateway(emulator.url) as gateway, open_browser() as browser:
        for case, (content, name, _, served) in HOSTILE.items():
            made = await uploaded(gateway, content, name)
            downloads = await opened(browser, made["contentUrl"])
            assert await browser.page.title() != "ran", case
            assert bool(downloads) is (served == UNKNOWN), case
            if not downloads:
                # An image, in an origin of its own, whose page can run nothing and reach nothing.
                assert await browser.page.evaluate("self.origin") == "null", case
                assert await browser.page.evaluate("document.contentType") == served, case


@pytest.mark.browser
async def test_a_page_cannot_use_a_content_as_script_style_or_frame(emulator: Emulator) -> None:
    async with running_gateway(emulator.url) as gateway:
        addresses = {
            name: (await uploaded(gateway, content, name))["contentUrl"]
            for name, content in (
                ("a.js", b"window.ran = 'script'"),
                ("a.gif", b"GIF89a=1;window.ran='polyglot'"),
                ("a.css", b"body { color: rgb(1, 2, 3) }"),
                ("a.html", HTML.replace(SCRIPT, b"<script>parent.ran = 'frame'</script>")),
                ("a.png", PNG),
            )
        }
        page = f"""<!doctype html><body>
            <script src="{addresses["a.js"]}"></script><script src="{addresses["a.gif"]}"></script>
            <link rel="stylesheet" href="{addresses["a.css"]}"><iframe src="{addresses["a.html"]}"></iframe>
            <img src="{addresses["a.png"]}"></body>"""

        async def serve(_: web.Request) -> web.Response:
            return web.Response(text=page, content_type="text/html")

        app = web.Application()
        app.router.add_get("/", serve)
        async with listening(app, "127.0.0.1", 0) as url, open_browser() as browser:
            await browser.page.goto(url)
            assert await browser.page.evaluate("window.ran") is None
            assert await browser.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
            # A page of any origin shows an image, without a credential.
            assert await browser.page.evaluate("document.querySelector('img').naturalWidth") == 2


@pytest.mark.browser
async def test_the_form_of_a_hostile_page_sends_nothing(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_api_key=KEY) as gateway:
        before = len((await emulator.get("/files"))["data"])
        page = f"""<!doctype html><form method="post" enctype="multipart/form-data" action="{gateway.url}/files">
            <input name="purpose" value="vision"></form><script>
            const data = new DataTransfer();
            data.items.add(new File(["stolen"], "a.txt"));
            const input = document.createElement("input");
            input.type = "file"; input.name = "file"; input.files = data.files;
            document.forms[0].append(input);
            const form = new FormData(document.forms[0]);
            const send = (options) => fetch("{gateway.url}/files", {{method: "POST", body: form, ...options}})
                .then((response) => `read ${{response.status}}`, () => "refused");
            window.sent = Promise.all([
                send({{}}), send({{mode: "no-cors"}}), send({{headers: {{"GraphQL-Require-Preflight": "1"}}}}),
            ]);</script>"""

        async def serve(_: web.Request) -> web.Response:
            return web.Response(text=page, content_type="text/html")

        app = web.Application()
        app.router.add_get("/", serve)
        async with listening(app, "127.0.0.1", 0) as url, open_browser() as browser:
            await browser.page.goto(url)
            assert await browser.page.evaluate("window.sent") == ["refused", "read 0", "refused"]
            async with browser.page.expect_navigation() as answered:
                await browser.page.evaluate("document.forms[0].submit()")
            response = await answered.value
            assert response is not None
            assert (response.status, response.url) == (403, f"{gateway.url}/files")
        assert len((await emulator.get("/files"))["data"]) == before
