// Renews a served page while its campaign goes on: what is on the screen stays where it is, what is open stays open.
"use strict";
(function () {
  const box = document.querySelector("p.live input.renew");
  const status = document.querySelector("p.live [role=status]");
  const EVERY = 2000;
  let version = null;
  let misses = 0;
  const name = (details) => {
    const section = details.closest("section");
    const figure = details.closest("figure");
    return [section ? section.getAttribute("aria-labelledby") : "", figure ? figure.id : "", details.querySelector("summary").textContent.replace(/\d+/g, "#")].join("|");
  };
  const renew = async function () {
    const text = await (await fetch("/", { cache: "no-store" })).text();
    const fresh = new DOMParser().parseFromString(text, "text/html");
    // The first thing with a name that is on the screen, and how far down it stands.
    const anchor = [...document.querySelectorAll("main [id]")].find((e) => e.getBoundingClientRect().bottom > 0);
    const before = anchor ? anchor.getBoundingClientRect().top : 0;
    const open = new Set([...document.querySelectorAll("main details[open]")].map(name));
    const focused = document.activeElement && document.activeElement.closest("[id]");
    for (const part of ["main", "header h1", "header nav", "footer"]) {
      const [old, now] = [document.querySelector(part), fresh.querySelector(part)];
      if (old && now) old.replaceWith(document.adoptNode(now));
    }
    const [old, now] = [document.querySelector("header .made"), fresh.querySelector("header .made")];
    if (old && now) old.textContent = now.textContent;
    document.title = fresh.title;
    for (const details of document.querySelectorAll("main details")) if (open.has(name(details))) details.open = true;
    document.dispatchEvent(new Event("renewed"));
    if (anchor && window.scrollY > 0) {
      const same = document.getElementById(anchor.id);
      if (same) window.scrollBy({ top: same.getBoundingClientRect().top - before, behavior: "instant" });
    }
    if (focused && focused.id && document.activeElement === document.body) {
      const same = document.getElementById(focused.id);
      if (same) same.focus({ preventScroll: true });
    }
  };
  const look = async function () {
    try {
      if (box.checked) {
        const found = await (await fetch("/version", { cache: "no-store" })).text();
        misses = 0;
        if (version !== null && found !== version) {
          status.textContent = "renewing";
          await renew();
        }
        version = found;
        const words = "(up to date)";
        if (status.textContent !== words) status.textContent = words;
      } else {
        status.textContent = "paused";
      }
    } catch (error) {
      misses += 1;
      if (misses > 1) status.textContent = "dal watch has ended; this is the last state";
    }
    setTimeout(look, EVERY);
  };
  look();
})();
