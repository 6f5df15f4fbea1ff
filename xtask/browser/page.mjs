// Opens a report page in Chromium and checks that it loads without errors or requests, filters, sorts, can be read by keyboard,
// and passes the axe accessibility rules, light and dark, wide and narrow. Screenshots are left in a folder.
//
//   node page.mjs REPORT.html SCREENSHOT_FOLDER CHROMIUM
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [page_path, folder, executable] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const url = pathToFileURL(resolve(page_path)).href;
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: executable,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let checks = 0;
const check = (condition, message) => {
  assert.ok(condition, message);
  checks += 1;
};

for (const [name, viewport, colorScheme] of [
  ["desktop-light", { width: 1280, height: 900 }, "light"],
  ["desktop-dark", { width: 1280, height: 900 }, "dark"],
  ["phone-light", { width: 390, height: 844 }, "light"],
]) {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("request", (request) => request.url() !== url && requests.push(request.url()));
  await page.goto(url);
  await page.screenshot({ path: join(folder, `${name}.png`) });

  // The page is as wide as the screen, nothing sticks out.
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  check(content <= screen + 1, `${name}: the page is ${content} px wide on a screen of ${screen} px`);

  // axe is injected after the page's own errors were listened for; a violation is printed with the elements it is about.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const words = violations.map((v) => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(", ")}`);
  check(words.length === 0, `${name}: accessibility\n  ${words.join("\n  ")}`);

  if (name === "desktop-light") {
    await filters(page);
    await sorting(page);
    await keyboard(page);
    await page.pdf({ path: join(folder, "print.pdf"), format: "A4" });
  }
  await page.screenshot({ path: join(folder, `${name}-whole.png`), fullPage: true });
  check(complaints.length === 0, `${name}: ${complaints.join("; ")}`);
  check(requests.length === 0, `${name}: the page asked for ${requests.join(", ")}`);
  await context.close();
}
await browser.close();
console.log(`${checks} passed, 0 failed`);

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
  const series = part.locator(`svg g[data-s="${method}"]`);
  check((await series.count()) > 0, `method ${method} is drawn`);
  await box.uncheck();
  check(!(await series.first().isVisible()), "a method that is switched off is not drawn");
  await box.check();
  check(await series.first().isVisible(), "a method that is switched on again is drawn");
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
  const slider = page.locator("figure:visible input[type=range]").first();
  const output = page.locator("figure:visible output").first();
  await slider.focus();
  await page.keyboard.press("Home");
  const first = await output.textContent();
  await page.keyboard.press("ArrowRight");
  const second = await output.textContent();
  check(/\d/.test(first) && first !== second, `the arrow keys read values: ${first} then ${second}`);
}
