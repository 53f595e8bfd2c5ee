"""A browser with an admin frontend of another origin, and with the gateway's own page.

What it looked like is kept in `artifacts/`.
"""

import csv
import json
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.serving import BUNDLES, ROOT, Gateway, serving
from tests.postgres import EMPTY, execute
from tests.waiting import until

BROWSER = shutil.which("google-chrome") or shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
SCREENSHOTS = ROOT / "artifacts"
SECONDS = 20
EXPORT, IMPORT = (f"#operations-token-bundles-{name}_token_bundles" for name in ("export", "import"))
CREATE = "#operations-token-bundles-create_token_bundle"
# Each as it is, a change twice, and what the answers' statuses were.
PRESS_EVERYTHING = """
const done = arguments[0], told = {};
const once = async (look) => {
  for (let found; ; await new Promise((go) => setTimeout(go, 10))) if ((found = look())) return found;
};
for (const block of document.querySelectorAll(".opblock")) {
  const wanted = (selector) => once(() => block.querySelector(selector));
  (await wanted(".opblock-summary-control")).click();
  (await wanted(".try-out__btn")).click();
  told[block.id] = [];
  for (const _ of block.matches(".opblock-get") ? ["once"] : ["once", "once more"]) {
    (await wanted(".execute")).click();
    told[block.id].push((await wanted(".live-responses-table .response .response-col_status")).innerText);
    // After a change the page looks at what there is now.
    await once(() => !window.looking);
    (await wanted(".btn-clear")).click();
    await once(() => !block.querySelector(".live-responses-table"));
  }
  if (block.innerText.includes("^")) told[block.id].push("a regular expression");
  (await wanted(".opblock-summary-control")).click();
}
done(told);
"""
BACKGROUNDS = {"light": "rgba(0, 0, 0, 0)", "dark": "rgb(28, 32, 34)"}

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="Chromium and its driver are not installed")


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def frontend_port() -> Iterator[int]:
    serve_files = partial(Files, directory=ROOT)
    with ThreadingHTTPServer(("127.0.0.1", 0), serve_files) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, frontend_port: int) -> Iterator[Gateway]:
    folder, origin = tmp_path_factory.mktemp("browser"), f"http://localhost:{frontend_port}"
    with serving(folder, "--no-sample", "--workers", "1", ALLOWED_ORIGINS=origin) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless", "--no-proxy-server", "--window-size=1100,900"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # Chromium starts as root only without it.
        options.add_argument("--no-sandbox")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def no_bundles(gateway: Gateway) -> Iterator[None]:
    yield
    execute(gateway.database_url, EMPTY)


@pytest.fixture
def frontend(browser: Chrome, gateway: Gateway, frontend_port: int) -> str:
    """Open the frontend at its allowed origin, and return its address."""
    address = (
        f"http://localhost:{frontend_port}/tests/e2e/frontend.html?api={gateway.url}&token={gateway.token()}"
    )
    browser.get(address)
    find(browser, "#message", "Listed")
    return address


def find(browser: Chrome, selector: str, text: str = "") -> WebElement:
    """Wait for the first element that is shown with the text."""

    def shown(_: Chrome) -> list[WebElement]:
        found = browser.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed() and text in element.text]

    wait = WebDriverWait(browser, SECONDS, 0.05, [StaleElementReferenceException])
    return wait.until(shown, f"no {selector} says {text!r}")[0]


def says(browser: Chrome, text: str) -> str:
    return find(browser, "#message", text).text


def click(browser: Chrome, text: str, within: str = "") -> None:
    find(browser, f"{within} button", text).click()


def fill(browser: Chrome, name: str, text: str) -> None:
    field = find(browser, f"[name={name}]")
    field.clear()
    field.send_keys(text)


def create(browser: Chrome, name: str, amount: str = "1000", price: str = "1") -> None:
    for field, text in {"name": name, "token_amount": amount, "price": price}.items():
        fill(browser, field, text)
    click(browser, "Create")


def edit(browser: Chrome) -> None:
    click(browser, "Edit")
    says(browser, "Editing")


def logged(browser: Chrome) -> list[str]:
    """Return what is new in the console."""
    entries: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries]


def rows(browser: Chrome) -> list[str]:
    return [row.text.partition(" Edit")[0] for row in browser.find_elements(By.CSS_SELECTOR, "#bundles tr")]


def listed(gateway: Gateway) -> list[dict[str, Any]]:
    with gateway.client(gateway.token()) as client:
        items: list[dict[str, Any]] = client.get(BUNDLES).json()["items"]
        return items


def names(gateway: Gateway) -> list[str]:
    return [item["name"] for item in listed(gateway)]


def prices(gateway: Gateway) -> list[str]:
    return [item["price"] for item in listed(gateway)]


def updates(gateway: Gateway) -> list[dict[str, Any]]:
    with gateway.client(gateway.token()) as client:
        answer = client.get(f"{BUNDLES}/history", params={"action": "updated"})
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def change_elsewhere(gateway: Gateway, price: str) -> None:
    """Change the first bundle behind the page's back."""
    with gateway.client(gateway.token()) as client:
        client.patch(f"{BUNDLES}/{listed(gateway)[0]['id']}", json={"price": price}).raise_for_status()


def drag(browser: Chrome, name: str, onto: str) -> None:
    row = "//tr[contains(., '{}')]//*[@class='handle']"
    source, target = (browser.find_element(By.XPATH, row.format(each)) for each in (name, onto))
    ActionChains(browser).drag_and_drop(source, target).perform()


def look(browser: Chrome, percent: str, reason: str) -> None:
    fill(browser, "percent", percent)
    fill(browser, "reason", reason)
    click(browser, "Look first")
    says(browser, "Nothing is changed yet")


def lines(browser: Chrome) -> list[str]:
    return [line.text for line in browser.find_elements(By.CSS_SELECTOR, "#preview li")]


def opened(browser: Chrome, operation: str) -> None:
    find(browser, operation).click()
    click(browser, "Try it out", operation)


def choose(browser: Chrome, selector: str, text: str) -> None:
    Select(find(browser, selector)).select_by_visible_text(text)


def downloaded(folder: Path) -> list[dict[str, str]]:
    """Wait for the one file in a folder, remove it, and return its rows."""
    until(lambda: list(folder.glob("*.csv")))
    (file,) = folder.glob("*.csv")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        found = list(csv.DictReader(lines))
    file.unlink()
    return found


def saved(folder: Path, table: list[dict[str, str]]) -> str:
    """Save rows as a spreadsheet does, and return the path."""
    path = folder / "saved.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as lines:
        writer = csv.DictWriter(lines, list(table[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(table)
    return str(path)


def keep(browser: Chrome, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


class TestFrontend:
    def test_a_bundle_from_first_to_last(self, browser: Chrome, gateway: Gateway, frontend: str) -> None:
        create(browser, "Weekend", amount="2000", price="2.5")
        assert BUNDLES in says(browser, "Created: ")
        assert rows(browser) == ["Weekend 2000 tokens 2.50 EUR"]
        keep(browser, "1-created")

        edit(browser)
        fill(browser, "new_price", "3")
        click(browser, "Save")
        says(browser, 'Saved as "2"')
        assert rows(browser) == ["Weekend 2000 tokens 3.00 EUR"]
        keep(browser, "2-edited")

        click(browser, "Delete")
        says(browser, "The token bundle is deleted.")
        assert rows(browser) == names(gateway) == []

    def test_the_browser_asked_before_it_sent(self, gateway: Gateway, frontend: str) -> None:
        assert f"OPTIONS {BUNDLES}?per_page=100 → 204" in gateway.output.read_text()

    def test_a_second_edit_does_not_undo_the_first(
        self, browser: Chrome, gateway: Gateway, frontend: str
    ) -> None:
        create(browser, "Shared")
        says(browser, "Created")
        edit(browser)
        first = browser.current_window_handle

        browser.switch_to.new_window("tab")
        browser.get(frontend)
        says(browser, "Listed")
        edit(browser)
        fill(browser, "new_price", "2")
        click(browser, "Save")
        says(browser, "Saved")
        browser.close()

        browser.switch_to.window(first)
        fill(browser, "new_price", "3")
        click(browser, "Save")
        assert "read it again" in says(browser, "412: ")
        keep(browser, "3-changed-meanwhile")

        browser.get(frontend)
        says(browser, "Listed")
        assert rows(browser) == ["Shared 1000 tokens 2.00 EUR"]

    def test_a_repeated_creation_creates_nothing(
        self, browser: Chrome, gateway: Gateway, frontend: str
    ) -> None:
        create(browser, "Once")
        created = says(browser, "Created: ")

        click(browser, "Send again")
        assert says(browser, "Already created: ").removeprefix("Already c") == created.removeprefix("C")
        assert names(gateway) == ["Once"]
        keep(browser, "4-sent-again")

    def test_a_mistake_is_explained(self, browser: Chrome, gateway: Gateway, frontend: str) -> None:
        create(browser, "Mistake", amount="0", price="1.234")

        said = says(browser, "400: ")
        assert "token amount: must be 1 or more" in said
        assert "price: must have at most 2 decimals" in said
        assert names(gateway) == []
        keep(browser, "5-mistake")

    def test_another_origin_is_refused(self, browser: Chrome, gateway: Gateway, frontend: str) -> None:
        # The same page, but another host name and so another origin.
        browser.get(frontend.replace("localhost", "127.0.0.1"))
        says(browser, "The API does not answer this page.")
        logged(browser)

        create(browser, "Forbidden")
        says(browser, "The API does not answer this page.")
        assert any("blocked by CORS policy" in message for message in logged(browser))
        assert names(gateway) == []
        keep(browser, "6-another-origin")


class TestManyAtOnce:
    @pytest.fixture(autouse=True)
    def three(self, browser: Chrome, gateway: Gateway, frontend: str) -> None:
        for name, amount, price in (("Small", "1000", "5"), ("Middle", "2000", "9"), ("Large", "4000", "16")):
            create(browser, name, amount, price)
            find(browser, "#bundles", name)

    def test_two_are_dragged_into_another_order(
        self, browser: Chrome, gateway: Gateway, frontend: str
    ) -> None:
        assert names(gateway) == ["Large", "Middle", "Small"]
        drag(browser, "Small", "Large")
        drag(browser, "Large", "Middle")
        click(browser, "Save order")
        says(browser, "Moved 2")
        assert names(gateway) == ["Small", "Middle", "Large"]
        assert [item["version"] for item in listed(gateway)] == [1, 2, 2]
        assert len({entry["request_id"] for entry in updates(gateway)}) == 1
        keep(browser, "9-dragged")

        browser.get(frontend)
        says(browser, "Listed")
        assert [row.split()[0] for row in rows(browser)] == ["Small", "Middle", "Large"]

    def test_an_order_that_was_made_of_what_has_changed_is_refused(
        self, browser: Chrome, gateway: Gateway
    ) -> None:
        change_elsewhere(gateway, price="15")
        drag(browser, "Small", "Large")
        click(browser, "Save order")
        assert "Nothing has been changed" in says(browser, "409: ")
        assert [item["sort_order"] for item in listed(gateway)] == [0, 0, 0]
        find(browser, "#bundles", "Large 4000 tokens 15.00 EUR")
        assert [row.split()[0] for row in rows(browser)] == ["Large", "Middle", "Small"]
        keep(browser, "10-order-refused")

    def test_prices_are_raised_after_a_look(self, browser: Chrome, gateway: Gateway) -> None:
        look(browser, percent="150", reason="Energy costs")
        assert lines(browser)[:3] == [
            "Large: 16.00 → 40.00", "Middle: 9.00 → 22.50", "Small: 5.00 → 12.50"
        ]  # fmt: skip
        assert "Middle: The price goes from 9.00 EUR to 22.50 EUR." in lines(browser)
        assert prices(gateway) == ["16.00", "9.00", "5.00"]
        keep(browser, "11-looked-first")

        click(browser, "Raise prices")
        says(browser, "Raised")
        assert prices(gateway) == ["40.00", "22.50", "12.50"]
        assert {(entry["changes"]["price"]["to"], entry["reason"]) for entry in updates(gateway)} == {
            (price, "Energy costs") for price in prices(gateway)
        }
        assert len({entry["request_id"] for entry in updates(gateway)}) == 1
        keep(browser, "12-raised")

    def test_what_was_only_looked_at_is_not_changed(self, browser: Chrome, gateway: Gateway) -> None:
        look(browser, percent="10", reason="")
        assert len(lines(browser)) == 3
        click(browser, "Cancel")
        says(browser, "Cancelled")
        assert [item["version"] for item in listed(gateway)] == [1, 1, 1]


class TestFile:
    def test_three_cells_are_changed(
        self, browser: Chrome, gateway: Gateway, frontend: str, downloads: Path, tmp_path: Path
    ) -> None:
        for name, price in (("Small", "5"), ("Middle", "9"), ("Large", "16")):
            create(browser, name, price=price)
            find(browser, "#bundles", name)
        click(browser, "Download file")
        says(browser, "Downloaded token-bundles-")
        large, middle, small = downloaded(downloads)
        # As a German spreadsheet would write it.
        large["price"], middle["name"], middle["token_amount"] = "18,50", "Medium", "3000"
        table = [large, middle, small]
        find(browser, "[name=file]").send_keys(saved(tmp_path, table))
        click(browser, "Look at file")
        says(browser, "Nothing is changed yet")
        assert lines(browser)[:4] == [
            "0 new, 2 changed, 1 as they are", "Row 2: price 16.00 → 18.50", "Row 3: name Middle → Medium",
            "Row 3: token_amount 1000 → 3000",
        ]  # fmt: skip
        assert prices(gateway) == ["16.00", "9.00", "5.00"]
        keep(browser, "18-looked-at-file")

        click(browser, "Import")
        says(browser, "Imported")
        assert rows(browser) == [
            "Large 1000 tokens 18.50 EUR", "Medium 3000 tokens 9.00 EUR", "Small 1000 tokens 5.00 EUR"
        ]  # fmt: skip
        assert len({entry["request_id"] for entry in updates(gateway)}) == 1
        keep(browser, "19-imported")

        # Once more, with the versions of before.
        find(browser, "[name=file]").send_keys(saved(tmp_path, table))
        click(browser, "Look at file")
        assert "row 2: It has been changed since it was read" in says(browser, "409: ")

    def test_a_mistake_is_named_by_its_row_and_column(
        self, browser: Chrome, gateway: Gateway, frontend: str, tmp_path: Path
    ) -> None:
        row = {"code": "a", "name": "A", "token_amount": "1.000", "price": "9,90 €"}
        find(browser, "[name=file]").send_keys(saved(tmp_path, [row]))
        click(browser, "Look at file")
        said = says(browser, "400: ")
        assert "row 2, token amount: must be a whole number" in said
        assert "row 2, price: must be a number with a point" in said
        assert names(gateway) == []
        keep(browser, "20-mistake-in-file")


class TestHistory:
    @pytest.fixture(autouse=True)
    def one(self, browser: Chrome, frontend: str) -> None:
        create(browser, "Weekend", "2000", "2.5")
        find(browser, "#bundles", "Weekend")

    def test_the_last_change_is_undone(self, browser: Chrome) -> None:
        edit(browser)
        fill(browser, "new_price", "25")
        click(browser, "Save")
        says(browser, 'Saved as "2"')
        assert rows(browser) == ["Weekend 2000 tokens 25.00 EUR"]
        click(browser, "Undo")
        says(browser, "Weekend is as it was")
        assert rows(browser) == ["Weekend 2000 tokens 2.50 EUR"]
        keep(browser, "13-undone")

    def test_what_the_page_has_not_seen_is_not_undone(self, browser: Chrome, gateway: Gateway) -> None:
        change_elsewhere(gateway, price="3")
        click(browser, "Undo")
        assert "read it again" in says(browser, "412: ")
        assert prices(gateway) == ["3.00"]
        find(browser, "#bundles", "Weekend 2000 tokens 3.00 EUR")
        keep(browser, "14-undo-refused")

    def test_a_creation_cannot_be_undone(self, browser: Chrome) -> None:
        click(browser, "Undo")
        says(browser, "There is nothing to undo")

    def test_a_deleted_one_is_restored_from_the_feed(self, browser: Chrome) -> None:
        click(browser, "Delete")
        says(browser, "The token bundle is deleted.")
        click(browser, "Show deleted")
        assert find(browser, "#gone li").text == "Weekend Restore"
        keep(browser, "15-deleted")

        click(browser, "Restore")
        says(browser, "Weekend is as it was")
        assert rows(browser) == ["Weekend 2000 tokens 2.50 EUR inactive"]
        assert not browser.find_elements(By.CSS_SELECTOR, "#gone li")
        keep(browser, "16-restored")


class TestShop:
    def test_shows_what_is_on_sale(self, browser: Chrome, gateway: Gateway, frontend_port: int) -> None:
        with gateway.client(gateway.token()) as client:
            for name, amount, price, active in (("Start", 1000, "9.9", True), ("Old", 1, "1", False)):
                fields = {"name": name, "token_amount": amount, "price": price, "is_active": active}
                assert client.post(BUNDLES, json=fields).status_code == 201
        logged(browser)
        browser.get(f"http://localhost:{frontend_port}/dev/gateway/shop.html?api={gateway.url}")
        shown = find(browser, "li", "Start").text.splitlines()
        assert shown == ["Start", "1,000 tokens", "€9.90", "€9.90 per 1,000"]
        assert len(browser.find_elements(By.TAG_NAME, "li")) == 1
        assert logged(browser) == []
        keep(browser, "17-shop")

    def test_is_on_the_gateway_too(self, browser: Chrome, gateway: Gateway) -> None:
        browser.get(f"{gateway.url}/shop")
        says(browser, "Nothing is on sale at the moment.")


class TestDocs:
    def test_a_file_is_downloaded_and_imported_after_a_look(
        self, browser: Chrome, gateway: Gateway, downloads: Path, tmp_path: Path
    ) -> None:
        with gateway.client(gateway.token()) as client:
            for name in ("A", "B"):
                fields = {"name": name, "token_amount": 1000, "price": "9"}
                assert client.post(BUNDLES, json=fields).status_code == 201
        browser.get(f"{gateway.url}/docs")
        opened(browser, EXPORT)
        click(browser, "Execute", EXPORT)
        find(browser, f"{EXPORT} .live-responses-table a", "Download file").click()
        first, second = downloaded(downloads)
        first["price"], second["name"], second["is_active"] = "10,50", "Second", "FALSE"

        opened(browser, IMPORT)
        choose(browser, f"{IMPORT} .body-param-content-type select", "text/csv")
        find(browser, f"{IMPORT} [type=file]").send_keys(saved(tmp_path, [first, second]))
        choose(browser, f"{IMPORT} [data-param-name=validate_only] select", "true")
        click(browser, "Execute", IMPORT)
        told = find(browser, f"{IMPORT} .live-responses-table code", '"validate_only": true').text
        for part in ('"updated": 2', '"to": "10.50"', '"to": "Second"', '"to": false'):
            assert part in told
        assert prices(gateway) == ["9.00", "9.00"]
        browser.execute_script("arguments[0].scrollIntoView()", find(browser, f"{IMPORT} .responses-inner"))
        keep(browser, "21-looked-at-file-in-docs")

        choose(browser, f"{IMPORT} [data-param-name=validate_only] select", "false")
        click(browser, "Execute", IMPORT)
        find(browser, f"{IMPORT} .live-responses-table code", '"id"')
        until(lambda: names(gateway) == ["A", "Second"])
        assert prices(gateway) == ["10.50", "9.00"]

    def test_try_it_out(self, browser: Chrome, gateway: Gateway) -> None:
        logged(browser)
        browser.get(f"{gateway.url}/docs")
        find(browser, CREATE)
        keep(browser, "7-docs")
        opened(browser, CREATE)
        click(browser, "Execute", CREATE)

        answer = f"{CREATE} .live-responses-table .response"
        assert find(browser, f"{answer} .response-col_status").text == "201"
        assert '"name": "Weekend"' in find(browser, f"{answer} code").text
        browser.execute_script("arguments[0].scrollIntoView()", find(browser, f"{CREATE} .btn-group"))
        keep(browser, "8-tried-out")
        assert names(gateway) == ["Weekend"]
        assert logged(browser) == []

    def test_every_operation_works_as_it_is(self, browser: Chrome, gateway: Gateway) -> None:
        # The browser keeps the shop's answer of when there was nothing.
        browser.get(f"{gateway.url}/docs")
        find(browser, ".opblock")
        with gateway.client(gateway.token()) as client:
            for name in ("A", "B", "C"):
                fields = {"name": name, "token_amount": 1000, "price": "9"}
                assert client.post(BUNDLES, json=fields).status_code == 201
        browser.get(f"{gateway.url}/docs")
        find(browser, ".opblock")
        browser.set_script_timeout(100)
        told = browser.execute_async_script(PRESS_EVERYTHING)
        assert len(told) == sum(map(len, json.loads((ROOT / "openapi.json").read_text())["paths"].values()))
        for name, statuses in told.items():
            # Of another resource there is only the row that was created: a second deletion finds none.
            if "-delete_" in name and not name.startswith("operations-token-bundles-"):
                assert statuses == ["200", "404"], told
            else:
                assert {*statuses} in ({"200"}, {"201"}), told
        # The two deletions took A, which the page had shown, and then the next one.
        assert names(gateway) == ["C", "Weekend"]
        for hidden in (".servers", ".models"):
            assert not browser.find_elements(By.CSS_SELECTOR, hidden)

    def test_after_a_logout_it_says_where_a_token_is(self, browser: Chrome, gateway: Gateway) -> None:
        browser.get(f"{gateway.url}/docs")
        click(browser, "Authorize")
        click(browser, "Logout", ".auth-container")
        assert "python -m dev token" in find(browser, ".auth-container", "Value").text
        keep(browser, "22-logged-out")

    @pytest.mark.parametrize(("width", "scheme"), [(420, "dark"), (1280, "light")])
    def test_fits_its_window(self, browser: Chrome, gateway: Gateway, width: int, scheme: str) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get(f"{gateway.url}/docs")
        opened(browser, CREATE)
        keep(browser, f"23-docs-{width}-{scheme}")
        shown = "const page = document.documentElement; return [page.scrollWidth - page.clientWidth, "
        shown += "getComputedStyle(page).backgroundColor]"
        assert browser.execute_script(shown) == [0, BACKGROUNDS[scheme]]
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
