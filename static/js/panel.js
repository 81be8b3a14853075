// Forms that destroy something ask first.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.sure;
  if (question && !confirm(question)) event.preventDefault();
});

// The theme's icons are words in a font; nobody wants to hear them.
document.addEventListener("DOMContentLoaded", () => {
  for (const icon of document.querySelectorAll(".material-symbols-outlined")) {
    icon.setAttribute("aria-hidden", "true");
  }
});
