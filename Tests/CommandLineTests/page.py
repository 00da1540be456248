"""Looks at the page of `recall-bench serve` as a person with a browser would.

page.py ADDRESS CHROMIUM FOLDER ODD-NAME: screenshots go to FOLDER. A word a line on standard output says what the caller
is to do next: interrupt the training, train the suite ODD-NAME, stop the server, start it again.
"""

import pathlib
import sys

from playwright.sync_api import expect, sync_playwright

address, chromium, folder, odd_name = sys.argv[1:]
folder = pathlib.Path(folder)
folder.mkdir(parents=True, exist_ok=True)
expect.set_options(timeout=60_000)
complaints = []


def ask_for(word):
    print(word, flush=True)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def screenshot(page, name, width):
    """Of the whole page, which must not have to be moved sideways."""
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(
        "width => [...document.querySelectorAll('figure svg')].every((svg) =>"
        " svg.clientWidth <= width && Number(svg.getAttribute('width')) <= svg.closest('figure').clientWidth)",
        arg=width)
    page.screenshot(path=folder / f"{name}.png", full_page=True)
    found = page.evaluate("document.documentElement.scrollWidth")
    check(found <= width, f"{name}: {found} pixels wide, with room for {width}")


def nothing_was_parsed(page):
    """No name or text has become an element."""
    found = page.evaluate("document.querySelectorAll('main i, main b, main img, main script, main iframe').length")
    check(found == 0, f"{found} elements came out of texts")


def watch_training(page):
    page.goto(address)
    page.evaluate("window.isTheSamePage = true")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.locator("#suite-name")).to_have_text("long")
    running = page.locator("#running li")
    expect(running).to_have_count(1)
    expect(running).to_contain_text("/1000")
    # Two epochs more than when the curve was first there: updates, and not the state that came at the beginning.
    curve = page.locator("#accuracy g.run")
    expect(curve).to_have_count(1)
    first = int(curve.get_attribute("data-epochs"))
    page.wait_for_function(
        "first => Number(document.querySelector('#accuracy g.run').dataset.epochs) >= first + 2", arg=first,
        timeout=120_000)
    expect(running).to_contain_text("at most")
    expect(page.locator("#loss g.run")).to_have_count(1)
    expect(page.locator("#runs tr[data-status=running]")).to_have_count(1)
    expect(page.locator("#runs tr[data-status=pending]")).to_have_count(3)
    screenshot(page, "training-400", 400)
    screenshot(page, "training-1400", 1400)
    ask_for("interrupt")
    expect(running).to_have_count(0)
    expect(page.locator("#counts")).to_contain_text("1 interrupted")


def watch_results(page):
    ask_for("train")
    link = page.locator("#suites a", has_text=odd_name)
    expect(link).to_have_count(1)
    link.click()
    expect(page.locator("#suite-name")).to_have_text(odd_name)
    check(page.locator("#suite-name").text_content() == odd_name, "the suite's name is another")
    expect(page.locator("#counts")).to_contain_text("nothing left to train")
    expect(page.locator("#tradeoff .point")).to_have_count(2)
    # Two points of two seeds each.
    expect(page.locator("#tradeoff .point .seed")).to_have_count(4)
    expect(page.locator("#tradeoff .key")).to_contain_text("a dot for each seed")
    expect(page.locator("#tradeoff tbody tr")).to_have_count(2)
    expect(page.locator("#tradeoff tbody")).to_contain_text("based " + odd_name)
    expect(page.locator("#failures li")).to_have_count(4)
    for text in page.locator("#failures pre").all_text_contents():
        check(text.startswith("not finite at step"), text)
    check("<script>" in page.locator("#description").text_content(), "the description is another")
    nothing_was_parsed(page)


def use_the_keyboard(page):
    """A run is chosen, its curve stands out, and the choice outlives an update."""
    button = page.locator("#runs tr[data-status=finished] button").first
    for _ in range(60):
        page.keyboard.press("Tab")
        if button.evaluate("node => node === document.activeElement"):
            break
    check(button.evaluate("node => node === document.activeElement"), "Tab never came to a run")
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#no-run")).to_be_visible()
    expect(page.locator("#accuracy g.run[opacity='1']")).to_have_count(1)
    page.locator("#no-run").click()
    expect(button).to_have_attribute("aria-pressed", "false")


def see_it_in_the_dark(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    check(page.evaluate(ground) != light, "the dark page is as light as the other")
    screenshot(page, "finished-dark-400", 400)
    page.emulate_media(color_scheme="light")


def lose_the_server(page):
    """From here on the browser itself writes to its console that nobody answers."""
    ask_for("stop")
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    expect(page.locator("#connection")).to_contain_text("connection lost")
    ask_for("start")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.locator("#suite-name")).to_have_text(odd_name)


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", lambda request: request.url.startswith(address) or complaints.append(request.url))
    page.on("response", lambda response: response.ok or complaints.append(f"{response.status} {response.url}"))
    watch_training(page)
    watch_results(page)
    use_the_keyboard(page)
    screenshot(page, "finished-1400", 1400)
    screenshot(page, "finished-400", 400)
    see_it_in_the_dark(page)
    check(page.evaluate("window.isTheSamePage"), "the page was loaded again")
    check(not complaints, "; ".join(complaints))
    lose_the_server(page)
    browser.close()
