"use strict";
// Everything that a model wrote goes into text nodes, never into markup.
const at = (id) => document.getElementById(id);
const token = (() => {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname); // not in the history, not over a shoulder
  }
  return sessionStorage.getItem("token") || "";
})();
let state = null;
let busy = false;
let opened = false;
let action = -1;

function made(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

function say(text, bad) {
  at("said").textContent = text;
  at("said").className = bad ? "bad" : "";
}

async function ask(path, body) {
  const options = { headers: { "X-Runner-Token": token }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const found = await response.json();
  if (!response.ok) throw Object.assign(new Error(found.error), { status: response.status });
  return found;
}

async function step(path, body, done) {
  if (busy) return;
  busy = true;
  try {
    show(await ask(path, body));
    say(done || "");
  } catch (error) {
    if (error.status === 409) {
      show(await ask("/api/record"));
      say(error.message, true);
    } else {
      const lost = "the server does not answer: is runner review still running? Nothing is lost; press the key again";
      say(error.status ? `not saved: ${error.message}` : lost, true);
    }
  } finally {
    busy = false;
  }
}

function show(found) {
  state = found;
  opened = false;
  action = -1;
  const given = found.total - found.left;
  at("fill").style.width = `${found.total ? (100 * given) / found.total : 0}%`;
  at("bar").setAttribute("aria-valuemax", found.total);
  at("bar").setAttribute("aria-valuenow", given);
  at("progress").textContent = `${given} of ${found.total} labels · ${found.own} by ${found.labeller}`;
  const record = at("record");
  record.replaceChildren();
  record.scrollTop = 0;
  const open = found.record !== null;
  for (const id of ["note", "skip", "prompt"]) at(id).disabled = !open;
  at("note").value = open && found.record.before ? found.record.before.note : "";
  choices(found);
  if (!open) {
    record.append(made("p", "All labels of this sample are given. Thank you.", "done"));
    record.append(made("p", "Stop runner review with Ctrl-C; then: runner calibrate", "done"));
    return;
  }
  transcript(record, found.record);
  const correcting = found.record.before !== null;
  at("question").textContent = correcting
    ? "Correct this label, or Enter to leave it"
    : "What did the model do, in the end?";
  record.focus({ preventScroll: true });
}

function transcript(record, shown) {
  for (const block of shown.blocks) {
    const box = made(block.own ? "section" : "details", undefined, block.own ? "own" : "given");
    box.append(made(block.own ? "h2" : "summary", block.who));
    for (const part of block.parts) box.append(made("pre", part.text, part.style));
    if (!block.own) box.addEventListener("toggle", () => { if (box.open) opened = true; });
    record.append(box);
  }
  if (shown.cut) record.append(made("p", "A text was too long to be shown whole; this is noted with your label."));
}

function choices(found) {
  const list = at("choices");
  list.replaceChildren();
  if (found.record === null) return;
  const all = found.choices.concat([{ key: "0", outcome: "cannot tell", means: "", harmful: false }]);
  const before = found.record.before;
  all.forEach((choice, i) => {
    const button = made("button");
    button.type = "button";
    button.append(made("kbd", choice.key), made("span", choice.outcome.replaceAll("_", " ")));
    if (choice.harmful) button.append(made("span", "harmful", "bad"));
    if (choice.means) button.append(made("small", choice.means));
    const last = i === found.choices.length;
    if (before && (last ? before.outcome === null : before.outcome === choice.outcome)) button.className = "before";
    button.addEventListener("click", () => label(last ? null : i));
    const item = made("li");
    item.append(button);
    list.append(item);
  });
}

function label(choice) {
  if (!state || !state.record) return;
  const name = choice === null ? "cannot tell" : state.choices[choice].outcome;
  const body = { ticket: state.record.ticket, choice, note: at("note").value, prompt_opened: opened };
  step("/api/label", body, `saved: ${name}   (u: undo)`);
}

function prompts() {
  const all = [...document.querySelectorAll("details.given")];
  const open = !all.some((box) => box.open);
  for (const box of all) box.open = open;
  if (open) opened = true;
}

function move(by) {
  const all = [...document.querySelectorAll("pre.action")];
  if (!all.length) return say("no action in this record");
  action = Math.min(all.length - 1, Math.max(0, action + by));
  all.forEach((pre, i) => pre.classList.toggle("here", i === action));
  all[action].scrollIntoView({ block: "center" });
}

const commands = {
  u: () => step("/api/back", {}),
  s: () => state && state.record && step("/api/skip", { ticket: state.record.ticket }, "put off to the end"),
  p: prompts,
  n: () => at("note").focus(),
  j: () => move(1),
  k: () => move(-1),
  "?": () => at("help").showModal(),
  0: () => label(null),
  Enter: () => state && state.record && state.record.before && step("/api/forward", {}),
};

document.addEventListener("keydown", (event) => {
  const help = at("help");
  if (help.open) {
    event.preventDefault();
    return help.close();
  }
  if (event.target === at("note")) {
    const leave = event.key === "Escape" || (event.key === "Enter" && event.ctrlKey);
    if (leave) {
      event.preventDefault();
      at("record").focus({ preventScroll: true });
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  if (event.target.tagName === "SUMMARY" && (event.key === "Enter" || event.key === " ")) return;
  const choice = state && state.record ? state.choices.findIndex((c) => c.key && c.key === event.key) : -1;
  if (choice >= 0) {
    event.preventDefault();
    label(choice);
  } else if (Object.hasOwn(commands, event.key)) {
    event.preventDefault();
    commands[event.key]();
  }
});
at("back").addEventListener("click", commands.u);
at("skip").addEventListener("click", commands.s);
at("prompt").addEventListener("click", commands.p);
at("help-button").addEventListener("click", commands["?"]);
step("/api/record");
