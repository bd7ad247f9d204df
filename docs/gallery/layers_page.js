// Show only the types that have the words of the filter in their name or their summary.
const filter = document.getElementById("search");
const cards = [...document.querySelectorAll(".card")];

function apply() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = new Set();
  for (const card of cards) {
    card.hidden = !words.every(word => card.dataset.words.includes(word));
    if (!card.hidden) shown.add(card.dataset.type);
  }
  for (const item of document.querySelectorAll("nav li")) item.hidden = !shown.has(item.dataset.type);
  for (const part of document.querySelectorAll(".family")) part.hidden = !part.querySelector(".card:not([hidden])");
  for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector("li:not([hidden])");
  document.getElementById("nothing").hidden = shown.size > 0;
  document.getElementById("count").textContent = words.length ? `${shown.size} of ${cards.length} types` : `${cards.length} types`;
}

filter.addEventListener("input", apply);
filter.addEventListener("keydown", event => {
  if (event.key === "Escape") {
    filter.value = "";
    apply();
  } else if (event.key === "Enter") {  // the first type that is left
    const first = cards.find(card => !card.hidden);
    if (first) location.hash = first.id;
  }
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== filter && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    filter.focus();
    filter.select();
  }
});
// A link to a type that the filter has hidden shows all types again.
addEventListener("hashchange", () => {
  const card = document.getElementById(location.hash.slice(1));
  if (card && card.hidden) {
    filter.value = "";
    apply();
    card.scrollIntoView();
  }
});
apply();
