// <batch-page fragment>: fetches what it shows anew until the batch has ended.
import { localize } from "./times.js";

const PAUSE = 2500;

customElements.define("batch-page", class extends HTMLElement {
  connectedCallback() { this.show(); this.plan(); }

  disconnectedCallback() { clearTimeout(this.timer); }

  get batch() { return this.querySelector("#batch"); }

  plan() {
    if (!("ended" in this.batch.dataset)) this.timer = setTimeout(() => this.refresh(), PAUSE);
  }

  async refresh() {
    if (!document.hidden) {
      try {
        const response = await fetch(this.getAttribute("fragment"), { cache: "no-store" });
        if (response.ok && !this.contains(document.activeElement)) {
          this.innerHTML = await response.text();
          localize(this);
          this.show();
        }
      } catch { /* asked again soon */ }
    }
    this.plan();
  }

  show() { document.title = this.batch.dataset.title; }
});
