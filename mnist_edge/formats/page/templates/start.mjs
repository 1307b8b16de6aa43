// All is defined: begin.

describe();
showNothing("Nothing to read yet.");
redraw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

/** For tests, and for who writes scripts around the page. */
globalThis.mnistEdge = Object.freeze({ model, readFile, prove });
document.documentElement.dataset.ready = ready.toFixed(1);
