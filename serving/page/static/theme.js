// Puts on the chosen theme before anything is painted; a script of its own, as a module would come too late.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // no storage: the system's theme it is
}
