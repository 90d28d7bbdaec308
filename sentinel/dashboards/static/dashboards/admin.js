// Names what Django's widgets leave without a name for screen readers.
"use strict";

function nameWidgets() {
    // The hints of "choose from the left" lists.
    for (const hint of document.querySelectorAll("span.help-tooltip[aria-label]:not([role])")) {
        hint.setAttribute("role", "img");
    }
    // The boxes that select2 puts in the place of a list, empty ones too: called as the list is.
    for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
        const label = document.querySelector(`label[for="${select.id}"]`);
        const name = label ? label.textContent.trim() : select.name;
        for (const box of select.parentElement.querySelectorAll("[role=combobox], [role=textbox]")) {
            box.setAttribute("aria-label", name);
        }
    }
}

window.addEventListener("load", () => setTimeout(nameWidgets)); // after what others do on load
document.addEventListener("formset:added", () => setTimeout(nameWidgets));
