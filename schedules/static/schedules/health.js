/* Banners and the line of health come and go by themselves; whatever else is on the page is left alone. */
(function () {
    "use strict";

    const place = document.getElementById("sch-banners");
    const SECONDS = 10;
    if (!place || !place.dataset.url) { return; }

    /* Only what differs is put in place: what is read aloud, and where somebody is with the keyboard, stays. */
    function replace(old, fresh) {
        if (!old || !fresh || old.innerHTML === fresh.innerHTML || old.contains(document.activeElement)) { return; }
        old.replaceChildren(...fresh.childNodes);
    }

    async function look() {
        if (!document.hidden) {
            try {
                const answer = await fetch(place.dataset.url, { credentials: "same-origin", redirect: "error" });
                if (answer.ok) {
                    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
                    replace(place, fresh.getElementById("sch-banners"));
                    replace(document.getElementById("sch-health"), fresh.getElementById("sch-health"));
                }
            } catch { /* the server is away for a moment: asked again */ }
        }
        window.setTimeout(look, SECONDS * 1000);
    }

    window.setTimeout(look, SECONDS * 1000);
})();
