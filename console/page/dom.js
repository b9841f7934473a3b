// Elements without markup strings: nothing that comes from the API is ever parsed as HTML.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

let toastTimer = 0;

// A short message; a click takes it away, and does `onClick` when there is one.
export function toast(text, kind = "info", onClick = null) {
  const node = document.getElementById("toast");
  const hide = () => {
    node.hidden = true;
  };
  node.textContent = text;
  node.className = `toast ${kind}`;
  node.hidden = false;
  node.onclick = () => {
    hide();
    if (onClick) onClick();
  };
  clearTimeout(toastTimer);
  toastTimer = setTimeout(hide, 8000);
}
