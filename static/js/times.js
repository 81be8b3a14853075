// Times in the reader's zone, and a clock that ticks in the browser.
export function seconds(total) {
  if (total < 10) return `${Math.max(0, total).toFixed(1)} s`;
  if (total < 60) return `${Math.floor(total)} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min ${Math.floor(total % 60)} s`;
  return `${Math.floor(total / 3600)} h ${Math.floor((total % 3600) / 60)} min`;
}

export function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.title = date.toString();
    time.textContent = "clock" in time.dataset ? date.toLocaleTimeString()
      : "day" in time.dataset ? date.toLocaleDateString(undefined, { dateStyle: "medium" })
      : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

customElements.define("elapsed-time", class extends HTMLElement {
  connectedCallback() {
    const since = Date.parse(this.getAttribute("since"));
    const tick = () => { this.textContent = seconds((Date.now() - since) / 1000); };
    tick();
    this.timer = setInterval(tick, 200);
  }
  disconnectedCallback() { clearInterval(this.timer); }
});

localize(document);
