"use strict";
// Makes easier what works without it: copying commands, filtering at once, a fresh page each minute, or with each change of a product.
function enhance() {
  for (const block of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = block.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.append(button);
  }
  for (const select of document.querySelectorAll("form.filters select")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
}
async function refresh() {
  if (document.querySelector("form.sign")) return; // what somebody has read is what they sign
  if (document.hidden || document.activeElement?.closest("form") || !getSelection().isCollapsed) return;
  try {
    const answer = await fetch(location.href, { headers: { "X-Sluicegate-Refresh": "1" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    const notices = page.querySelector("#notices");
    if (!fresh || !notices) return;
    document.querySelector("#notices").replaceWith(document.adoptNode(notices));
    const old = document.querySelector("main");
    const opened = new Set([...old.querySelectorAll("details[open] > summary")].map(one => one.textContent));
    for (const one of fresh.querySelectorAll("details > summary")) {
      if (opened.has(one.textContent)) one.parentElement.open = true;
    }
    old.replaceWith(document.adoptNode(fresh));
    enhance();
  } catch { /* the next minute tries again */ }
}
let stream = null;
let shown = null;
function follow() {
  // A hidden tab has no stream: a browser has few connections to one server.
  const address = document.querySelector("main")?.dataset.live;
  if (document.hidden || !address) { stream?.close(); stream = null; return; }
  if (stream && stream.readyState !== EventSource.CLOSED) return;
  stream = new EventSource(address);
  stream.addEventListener("changed", event => {
    if (shown !== null && shown !== event.data) refresh();
    shown = event.data;
    if (!event.data) stream.close(); // deleted
  });
}
enhance();
follow();
document.addEventListener("visibilitychange", () => {
  shown = null; // the refresh has what the stream's first event would ask for
  follow();
  refresh(); // its ages are those of when it was hidden
});
setInterval(refresh, 60000);
