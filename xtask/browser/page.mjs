// Opens a report page in Chromium and checks that it loads without errors or requests, filters, sorts, can be read by pointer and
// keyboard, prints, and passes the axe accessibility rules, light and dark, wide and narrow. Screenshots are left in a folder.
// A page of a campaign is told by its body's class. Of one that is served, its renewal is tested, too: a file of the campaign is
// touched, and the reader stays where they were.
//
//   node page.mjs REPORT.html SCREENSHOT_FOLDER CHROMIUM
//   node page.mjs http://127.0.0.1:PORT/ SCREENSHOT_FOLDER CHROMIUM FILE_TO_TOUCH
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync, mkdirSync, utimesSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

// Generous: a page of many figures on a busy machine. Nothing here waits for time to pass.
const PATIENCE = 300_000;

const [page_path, folder, executable, touched] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const served = page_path.startsWith("http:");
const url = served ? page_path : pathToFileURL(resolve(page_path)).href;
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: executable,
  timeout: PATIENCE,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
let checks = 0;
const check = (condition, message) => {
  assert.ok(condition, message);
  checks += 1;
};
const say = (what) => console.error(`  ${what}`);

try {
  if (served) await renewal();
  for (const [name, viewport, colorScheme] of served ? [] : [
    ["desktop-light", { width: 1280, height: 900 }, "light"],
    ["desktop-dark", { width: 1280, height: 900 }, "dark"],
    ["phone-light", { width: 360, height: 740 }, "light"],
    ["phone-dark", { width: 360, height: 740 }, "dark"],
  ]) {
    say(name);
    const context = await browser.newContext({ viewport, colorScheme });
    context.setDefaultTimeout(PATIENCE);
    context.setDefaultNavigationTimeout(PATIENCE);
    const page = await context.newPage();
    const complaints = [];
    const requests = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("request", (request) => request.url() !== url && requests.push(request.url()));
    await page.goto(url);
    await shot(page, name);

    // The page is as wide as the screen, nothing sticks out.
    const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    check(content <= screen + 1, `${name}: the page is ${content} px wide on a screen of ${screen} px`);

    await accessible(page, name);
    const is_campaign = await page.locator("body.campaign").count() > 0;
    if (is_campaign) await letters_apart(page, name);
    if (is_campaign && name.startsWith("phone")) await stacked(page, name);
    if (name === "desktop-light" && is_campaign) {
      await questions(page, ["How good is the model?", "Where is it not good?", "What failed, what is pending?",
        "What should I run next?", "May I stop?"]);
      await tables_behind_figures(page);
      await sorting(page);
      await keyboard(page);
      await pointer(page);
      await theme(page);
      await print(page);
    } else if (name === "desktop-light") {
      await questions(page, ["Which method to use", "Which methods are safe", "How sure", "On what evidence", "How long it takes"]);
      await tables_behind_figures(page);
      await filters(page);
      await errors_to_choose(page);
      await sorting(page);
      await keyboard(page);
      await pointer(page);
      await theme(page);
      await print(page);
    }
    await shot(page, `${name}-whole`, true);
    check(complaints.length === 0, `${name}: ${complaints.join("; ")}`);
    check(requests.length === 0, `${name}: the page asked for ${requests.join(", ")}`);
    await context.close();
  }
} finally {
  await browser.close();
}
console.log(`${checks} passed, 0 failed`);

async function shot(page, name, fullPage = false) {
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage, timeout: PATIENCE });
}

// axe is injected after the page's own errors were listened for; a violation is printed with the elements it is about.
async function accessible(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const words = violations.map((v) => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(", ")}`);
  check(words.length === 0, `${name}: accessibility\n  ${words.join("\n  ")}`);
}

// What a reader comes for is answered at the top.
async function questions(page, expected) {
  const topics = await page.locator("dl.answers").first().locator("dt").allTextContents();
  for (const topic of expected) {
    check(topics.includes(topic), `the opening answers: ${topic}`);
  }
  const broken = await page.locator("a[href^='#']").evaluateAll((links) =>
    links.map((a) => a.getAttribute("href")).filter((href) => document.getElementById(href.slice(1)) === null));
  check(broken.length === 0, `links lead nowhere: ${broken.join(", ")}`);
}

async function tables_behind_figures(page) {
  const bare = await page.locator("figure").evaluateAll((figures) =>
    figures.filter((f) => f.querySelectorAll("table tbody tr").length === 0 || f.querySelector("p.alt").textContent.length < 20)
      .map((f) => f.id));
  check(bare.length === 0, `figures without a table or words: ${bare.join(", ")}`);
}

// No title of an axis runs over the labels of its ticks, and no label over another.
async function letters_apart(page, name) {
  const over = await page.locator("figure svg").evaluateAll((all) => all.flatMap((svg) => {
    const texts = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
    const found = [];
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      // Boxes of letters have room above and below them.
      if (wide > 0.5 && high > 0.3 * Math.min(p.height, q.height)) found.push(`${svg.closest("figure").id}: ${a} over ${b}`);
    }));
    return found;
  }));
  check(over.length === 0, `${name}: letters run over each other: ${over.slice(0, 8).join("; ")}`);
}

// Tables whose rows are lists on a phone need no scrolling there.
async function stacked(page, name) {
  const wide = await page.locator("table.stacked").evaluateAll((all) =>
    all.filter((t) => t.parentElement.scrollWidth > t.parentElement.clientWidth + 1).map((t) => t.id));
  check(wide.length === 0, `${name}: tables that must be scrolled: ${wide.join(", ")}`);
  const bare = await page.locator("table.stacked td").evaluateAll((cells) => cells.filter((c) => !c.dataset.l).length);
  check(bare === 0, `${name}: ${bare} cells say not what they are`);
}

async function filters(page) {
  const part = page.locator("section.part").first();
  const shown = () => part.locator("figure:visible").count();
  const before = await shown();
  const problem = part.locator("select[name=problem]");
  const options = await problem.locator("option").evaluateAll((list) => list.map((o) => o.value).filter((v) => v !== ""));
  check(options.length > 0, "there are problems to choose from");
  await problem.selectOption(options[0]);
  const wrong = await part
    .locator("[data-problem]:visible")
    .evaluateAll((list, id) => list.filter((e) => e.dataset.problem !== id).length, options[0]);
  check(wrong === 0, `with problem ${options[0]} chosen, ${wrong} things of other problems are shown`);
  if (options.length > 1) check((await shown()) < before, "choosing one problem hides figures of the others");
  await problem.selectOption("");
  check((await shown()) === before, "choosing all problems shows every figure again");
  const box = part.locator("input[type=checkbox]").last();
  const method = await box.getAttribute("value");
  const series = part.locator(`figure:visible svg g[data-s="${method}"]`);
  check((await series.count()) > 0, `method ${method} is drawn`);
  const hidden = () => series.evaluateAll((list) => list.filter((g) => getComputedStyle(g).display === "none").length);
  await box.uncheck();
  check((await hidden()) === (await series.count()), "a method that is switched off is drawn nowhere");
  await box.check();
  check((await hidden()) === 0, "a method that is switched on again is drawn everywhere");
}

async function errors_to_choose(page) {
  const part = page.locator("section.part").first();
  const select = part.locator("select[name=metric]");
  const shown_of = async (choice) => {
    const ids = await choice.locator("option").evaluateAll((list) => list.map((o) => o.value));
    const all = await part.locator("figure[data-metric]:visible").evaluateAll((list) => list.map((f) => f.dataset.metric));
    return all.filter((m) => ids.includes(m));
  };
  const shown = () => shown_of(select);
  const of_mse = await shown();
  check(of_mse.length > 0 && of_mse.every((m) => m === "mse"), "learning curves of MSE are shown first");
  await select.selectOption("mae");
  const of_mae = await shown();
  check(of_mae.length === of_mse.length && of_mae.every((m) => m === "mae"), "the mean absolute error can be chosen instead");
  await shot(page, "desktop-light-mae");
  await select.selectOption("mse");
  // What is measured beside the error has a choice of its own, and neither disturbs the other.
  const beside = part.locator("select[name=measure]");
  const first = await shown_of(beside);
  check(first.length > 0 && first.every((m) => m === "coverage-90"), "of the measures beside the error coverage is shown first");
  await beside.selectOption("crps");
  const of_crps = await shown_of(beside);
  check(of_crps.length === first.length && of_crps.every((m) => m === "crps"), "the CRPS can be chosen instead");
  check((await shown()).every((m) => m === "mse"), "the learning curves stay as they are");
  await shot(page, "desktop-light-crps");
  await beside.selectOption("coverage-90");
}

async function sorting(page) {
  const table = page.locator("table.sortable").first();
  await table.evaluate((t) => { for (let e = t; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true; });
  const columns = await table.locator("thead th").count();
  for (let column = 0; column < columns; column += 1) {
    const head = table.locator("thead th").nth(column);
    for (const direction of ["ascending", "descending"]) {
      await head.locator("button").click();
      check((await head.getAttribute("aria-sort")) === direction, `column ${column} says it is sorted ${direction}`);
      const numbers = await table.locator("tbody tr").evaluateAll(
        (rows, c) => rows.map((r) => r.cells[c].dataset.v).filter((v) => v !== undefined).map(Number),
        column,
      );
      const sorted = [...numbers].sort((a, b) => (direction === "ascending" ? a - b : b - a));
      assert.deepEqual(numbers, sorted, `column ${column}, ${direction}`);
    }
  }
}

async function keyboard(page) {
  const figure = page.locator(".figures figure:visible").first();
  await figure.locator("input[type=range]").focus();
  await page.keyboard.press("Home");
  const first = await figure.locator("output").textContent();
  await page.keyboard.press("ArrowRight");
  const second = await figure.locator("output").textContent();
  check(/\d/.test(first) && first !== second, `the arrow keys read values: ${first} then ${second}`);
  const spoken = await figure.locator("input[type=range]").getAttribute("aria-valuetext");
  check(/\d/.test(spoken), "what the slider stands at is said to a screen reader");
}

async function pointer(page) {
  const figure = page.locator(".figures figure:visible").first();
  const svg = figure.locator("svg");
  await svg.scrollIntoViewIfNeeded();
  const box = await svg.boundingBox();
  await page.mouse.move(box.x + 0.3 * box.width, box.y + 0.5 * box.height);
  const left = await figure.locator("output").textContent();
  await page.mouse.move(box.x + 0.9 * box.width, box.y + 0.5 * box.height);
  const right = await figure.locator("output").textContent();
  check(/\d/.test(left) && left !== right, `pointing reads values: ${left} then ${right}`);
  await shot(page, "desktop-light-reading");
}

async function theme(page) {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await paper();
  await page.locator("button.theme").click();
  check((await paper()) !== before, "the button changes between light and dark");
  await accessible(page, "after switching to dark by the button");
  await page.locator("button.theme").click();
  check((await paper()) === before, "and back");
}

async function print(page) {
  await page.emulateMedia({ media: "print" });
  check((await page.locator(".controls:visible, nav:visible").count()) === 0, "controls and contents are not printed");
  await page.emulateMedia({ media: null });
  const margin = { top: "15mm", bottom: "15mm", left: "12mm", right: "12mm" };
  await page.pdf({ path: join(folder, "print.pdf"), format: "A4", margin, timeout: PATIENCE });
}

// A served page that is renewed: the reader stays in place, what was open stays open, and the new figures can be read.
async function renewal() {
  say("served");
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
  await accessible(page, "served");
  const details = page.locator("main figure details").nth(1);
  await details.evaluate((d) => { d.open = true; });
  await page.locator("#section-dependence").evaluate((e) => e.scrollIntoView());
  // The second look: the first one only learns the version.
  await page.waitForFunction(() => document.querySelector("p.live [role=status]").textContent !== "");
  const place = () => page.locator("#section-dependence").evaluate((e) => Math.round(e.getBoundingClientRect().top));
  const before = await place();
  await page.evaluate(() => { document.querySelector("main").dataset.old = "yes"; });
  utimesSync(touched, new Date(), new Date());
  await page.waitForFunction(() => document.querySelector("main").dataset.old === undefined);
  check(Math.abs((await place()) - before) <= 2, `the reader stays in place: ${before} then ${await place()}`);
  check(await page.locator("main figure details").nth(1).evaluate((d) => d.open), "what was open stays open");
  const dumb = await page.locator("figure[data-stops]").evaluateAll((all) => all.filter((f) => !f.querySelector("input[type=range]")).length);
  check(dumb === 0, `${dumb} renewed figures cannot be read`);
  check((await page.locator("table.sortable thead button").count()) > 0, "renewed tables can be sorted");
  check(complaints.length === 0, `served: ${complaints.join("; ")}`);
  await context.close();
}
