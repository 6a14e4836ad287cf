/* Small comforts of the pages of runs: copying a traceback, following what is not over yet. Nothing depends on it. */
(function () {
    "use strict";

    function copy(button) {
        const source = document.getElementById(button.dataset.copy);
        const text = Array.from(source.querySelectorAll("pre"), (piece) => piece.textContent).join("\n");
        const done = () => { button.dataset.done = "1"; button.setAttribute("aria-label", button.textContent + " ✓"); };
        if (navigator.clipboard && window.isSecureContext) {
            navigator.clipboard.writeText(text).then(done, () => choose(source));
        } else {
            choose(source);
        }
    }

    /* Over plain HTTP a page may not write to the clipboard: the text is shown and chosen, to be copied by hand. */
    function choose(source) {
        source.querySelectorAll("details").forEach((folded) => { folded.open = true; });
        source.focus();
        document.getSelection().selectAllChildren(source);
    }

    function dress(root) {
        root.querySelectorAll("[data-copy]").forEach((button) => {
            button.hidden = false;
            button.addEventListener("click", () => copy(button));
        });
    }

    /* What is not over is read again, unless somebody works in it: has chosen text, or typed. */
    function follow() {
        const live = document.querySelector("[data-live]");
        const seconds = Number(live && live.dataset.refresh);
        if (!seconds) { return; }
        window.setTimeout(async () => {
            const busy = document.hidden || String(document.getSelection()) || live.contains(document.activeElement);
            if (!busy) {
                try {
                    const answer = await fetch(window.location.href, { headers: { "X-Requested-With": "fetch" } });
                    if (answer.redirected) { window.location.replace(answer.url); return; }
                    if (answer.ok) {
                        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
                        if (fresh) { live.replaceWith(document.adoptNode(fresh)); dress(fresh); }
                    }
                } catch (error) { /* away for a moment: asked again */ }
            }
            follow();
        }, seconds * 1000);
    }

    /* On a narrow screen, where the timeline is not shown, the table that says the same is open. */
    document.querySelectorAll("details.sch-as-table").forEach((table) => {
        if (window.matchMedia("(max-width: 640px)").matches) { table.open = true; }
    });

    /* What a pause leaves out is counted anew when its end is changed; without this, its button does the same. */
    document.querySelectorAll("button[data-count]").forEach((button) => {
        const place = document.getElementById(button.dataset.count);
        const until = button.form.elements.namedItem("until");
        if (!place || !until) { return; }
        button.hidden = true;
        let asked = null;
        until.addEventListener("change", async () => {
            if (asked) { asked.abort(); }
            asked = new AbortController();
            const body = new URLSearchParams(new FormData(button.form));
            body.set(button.name, button.value);
            try {
                const answer = await fetch(window.location.href, { method: "POST", body, signal: asked.signal });
                const page = new DOMParser().parseFromString(await answer.text(), "text/html");
                const fresh = answer.ok && page.getElementById(place.id);
                if (fresh) { place.replaceChildren(...document.adoptNode(fresh).childNodes); }
            } catch (error) { /* the button is still there to be pressed on the server's page */ }
        });
    });

    dress(document);
    follow();
})();
