// Markdown as models write it, into elements: headings, lists, code, emphasis, tables as they stand. Text is only ever set as
// text, so an answer can't bring elements of its own; links are shown, not followed.

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*/g;

function node(tag, text = "", className = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function inline(parent, text) {
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    parent.append(text.slice(end, found.index));
    const [whole, code, strong, emphasis] = found;
    parent.append(code !== undefined ? node("code", code) : strong !== undefined ? node("strong", strong) : node("em", emphasis));
    end = found.index + whole.length;
  }
  parent.append(text.slice(end));
  return parent;
}

function codeBlock(language, lines) {
  const block = node("div", "", "code");
  const head = node("div", "", "code-head"), copy = node("button", "Copy", "quiet");
  copy.type = "button";
  copy.onclick = () => navigator.clipboard.writeText(lines.join("\n")).then(() => { copy.textContent = "Copied"; });
  head.append(node("span", language || "code"), copy);
  const pre = node("pre");
  pre.tabIndex = 0; // it scrolls: keyboards must reach it
  pre.append(node("code", lines.join("\n")));
  block.append(head, pre);
  return block;
}

export function render(text) {
  const blocks = [], lines = text.split("\n");
  let list = null, paragraph = null;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at];
    const fence = line.match(/^\s*```\s*(\S*)/), heading = line.match(/^(#{1,6})\s+(.*)/);
    const item = line.match(/^\s*(?:[-*+]|(\d+)[.)])\s+(.*)/);
    if (fence) {
      const code = [];
      for (at += 1; at < lines.length && !/^\s*```\s*$/.test(lines[at]); at += 1) code.push(lines[at]);
      blocks.push(codeBlock(fence[1], code));
      list = paragraph = null;
    } else if (heading) {
      blocks.push(inline(node(`h${Math.min(6, heading[1].length + 2)}`, "", "said"), heading[2]));
      list = paragraph = null;
    } else if (item) {
      const kind = item[1] === undefined ? "ul" : "ol";
      if (list?.localName !== kind) {
        blocks.push(list = node(kind));
        if (kind === "ol") list.start = Number(item[1]);
      }
      list.append(inline(node("li"), item[2]));
      paragraph = null;
    } else if (!line.trim()) {
      paragraph = null;
    } else if (list && /^\s{2,}\S/.test(line)) {
      inline(list.lastChild, `\n${line.trim()}`);
    } else {
      if (!paragraph) blocks.push(paragraph = node("p")); else paragraph.append("\n");
      inline(paragraph, line);
      list = null;
    }
  }
  return blocks;
}
