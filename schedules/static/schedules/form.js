// The form of a schedule, made livelier: preview while typing, presets, hints. Everything works without it, too.
"use strict";
(() => {
  const form = document.getElementById("schedule_form");
  const preview = document.getElementById("sch-preview");
  if (!form || !preview) return;
  const field = (name) => form.elements.namedItem(name);
  const words = document.getElementById("sch-words").dataset;
  const when = ["kind", "interval", "cron", "timezone", "run_at", "starts_at", "ends_at", "max_runs", "jitter"];
  const LONGEST = 100;

  // --- The preview: asked 250 ms after the last key; an older question is dropped.
  let timer = 0;
  let asked = null;
  const show = async () => {
    if (asked) asked.abort();
    asked = new AbortController();
    const url = new URL(preview.dataset.url, location.href);
    for (const name of when) {
      const value = field(name) ? field(name).value : "";
      if (value) url.searchParams.set(name, value.slice(0, LONGEST));
    }
    try {
      const answer = await fetch(url, { signal: asked.signal, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      preview.innerHTML = await answer.text();
    } catch (error) {
      if (error.name !== "AbortError") preview.textContent = words.failed;
    }
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(show, 250); };
  for (const type of ["input", "change"]) {
    form.addEventListener(type, (event) => { if (when.includes(event.target.name)) soon(); });
  }
  const button = document.getElementById("sch-preview-button");
  if (button) button.hidden = true;

  // --- What is wrong comes first: the cursor stands in it. After the admin's own script, which puts it elsewhere.
  window.addEventListener("load", () => {
    const wrong = form.querySelector(".errors :is(input:not([type=hidden]), select, textarea)");
    if (wrong) wrong.focus();
  });

  // --- Presets: they fill in the kind and what it needs.
  const cron = field("cron");
  if (cron && cron.type === "text") {
    const presets = document.getElementById("sch-presets").content.cloneNode(true);
    presets.querySelectorAll("button").forEach((preset) => preset.addEventListener("click", () => {
      const kind = preset.dataset.cron ? "cron" : "interval";
      const radio = form.querySelector(`input[name="kind"][value="${kind}"]`);
      if (radio) radio.checked = true;
      field(kind).value = preset.dataset[kind];
      field(kind).focus();
      soon();
    }));
    const row = form.querySelector(".form-row.field-kind");
    if (row) row.append(presets);
  }

  // --- What is known of the chosen function.
  const func = field("func");
  if (func && func.tagName === "SELECT") {
    const hint = document.createElement("div");
    hint.className = "sch-hint";
    hint.id = "sch-function-hint";
    func.closest(".form-row").append(hint);
    func.setAttribute("aria-describedby", [func.getAttribute("aria-describedby"), hint.id].filter(Boolean).join(" "));
    const tell = (event) => {
      const chosen = func.selectedOptions[0];
      hint.replaceChildren();
      if (!chosen || !chosen.dataset.signature) return;
      const doc = document.createElement("span");
      doc.textContent = chosen.dataset.doc;
      const signature = document.createElement("code");
      signature.className = "sch-code";
      signature.textContent = chosen.dataset.signature;
      hint.append(doc, signature);
      const queue = field("queue");
      if (event && chosen.dataset.queue && queue) queue.value = chosen.dataset.queue;
    };
    func.addEventListener("change", tell);
    tell();
  }

  // --- JSON, checked while it is typed.
  const check = (name, fits, text) => {
    const input = field(name);
    if (!input || input.tagName !== "TEXTAREA") return;
    const note = document.createElement("div");
    note.className = "sch-hint sch-error";
    note.setAttribute("role", "status");
    input.closest(".form-row").append(note);
    const tell = () => {
      note.textContent = "";
      if (!input.value.trim()) return;
      if (name === "request_body" && field("request_body_kind") && field("request_body_kind").value !== "json") return;
      try {
        if (!fits(JSON.parse(input.value))) note.textContent = text;
      } catch {
        note.textContent = words.json;
      }
    };
    input.addEventListener("input", tell);
    if (name === "request_body" && field("request_body_kind")) {
      field("request_body_kind").addEventListener("change", tell);
    }
  };
  check("args", (value) => Array.isArray(value), words.list);
  check("kwargs", (value) => value !== null && typeof value === "object" && !Array.isArray(value), words.object);
  check("request_body", () => true, "");

  // --- The test request, without leaving the page.
  const test = document.getElementById("sch-test-button");
  if (test) {
    const answer = document.getElementById("sch-test-answer");
    test.addEventListener("click", async (event) => {
      event.preventDefault();
      test.disabled = true;
      answer.setAttribute("aria-busy", "true");
      try {
        const body = new URLSearchParams();
        for (const [name, value] of new FormData(form)) {
          if (name.startsWith("request_") || name === "csrfmiddlewaretoken") body.append(name, value);
        }
        const reply = await fetch(test.formAction, {
          method: "POST", body, credentials: "same-origin", headers: { "X-Requested-With": "fetch" },
        });
        if (!reply.ok) throw new Error(String(reply.status));
        answer.innerHTML = await reply.text();
      } catch {
        answer.textContent = words.failed;
      } finally {
        test.disabled = false;
        answer.removeAttribute("aria-busy");
      }
    });
  }
})();
