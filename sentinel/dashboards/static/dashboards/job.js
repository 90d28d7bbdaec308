// Watches a job: asks once a second how far it has come, and loads the page again at its end.
"use strict";

const SECOND = 1000;
const LONGEST_PAUSE = 30 * SECOND;

const section = document.querySelector("[data-job]");
const bar = section.querySelector("progress");
const text = section.querySelector("[role=status]");
let pause = SECOND;

async function ask() {
    try {
        const response = await fetch(section.dataset.job, { headers: { Accept: "application/json" } });
        if (response.redirected || response.status === 403) {
            window.location.reload(); // logged out meanwhile
            return;
        }
        if (!response.ok) {
            throw new Error(response.statusText);
        }
        const job = await response.json();
        if (job.ended) {
            window.location.reload();
            return;
        }
        if (job.total) {
            bar.max = job.total;
            bar.value = job.done;
        }
        if (text.textContent !== job.said) {
            text.textContent = job.said;
        }
        pause = SECOND;
    } catch {
        pause = Math.min(2 * pause, LONGEST_PAUSE); // the server is busy, or away for a moment
    }
    setTimeout(ask, pause);
}

setTimeout(ask, pause);
