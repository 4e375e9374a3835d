// What the page does beside trame: its address and title, and that it finds a server again that was stopped.
(() => {
  const AGAIN = 1000; // milliseconds between two looks for the server
  const TOO_MANY = 4001;
  let step = null, notice = null, leaves = false;

  window.addEventListener("beforeunload", () => { leaves = true; });
  window.addEventListener("popstate", () => { step = null; window.trame?.trigger("go", [location.hash.slice(1)]); });

  window.autophasenn = {
    wished: location.hash.slice(1), // before the page says where it is at first
    show(link, title, now) {
      if (!now) return;
      document.title = title;
      const address = link ? "#" + link : location.pathname;
      const hash = link ? "#" + link : "";
      const goes = step !== null && step !== now && window.parent === window; // Back in a notebook is the notebook's
      if (hash !== location.hash) history[goes ? "pushState" : "replaceState"](null, "", address);
      step = now;
    },
    copy(words) { navigator.clipboard?.writeText(words ?? location.href); },
  };

  function say(words, button) {
    if (!notice) {
      notice = document.createElement("div");
      notice.className = "apn-lost";
      notice.setAttribute("role", "alert");
      document.body.append(notice);
    }
    notice.replaceChildren(words);
    if (button) {
      const again = document.createElement("button");
      again.textContent = "Try again";
      again.addEventListener("click", () => location.reload());
      notice.append(again);
    }
  }

  async function find() {
    try {
      const answer = await fetch("alive", { cache: "no-store" });
      if (answer.ok) { location.reload(); return; }
      if (answer.status === 403) { say("The viewer was started anew and asks for its token: open the address that it printed.", true); return; }
    } catch { /* not yet */ }
    setTimeout(find, AGAIN);
  }

  function lost(event) {
    if (leaves) return;
    if (event.code === TOO_MANY) { say(event.reason, true); return; }
    say("The viewer does not answer. This page goes on by itself as soon as it does.", true);
    setTimeout(find, AGAIN);
  }

  const Socket = window.WebSocket;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  window.WebSocket = class extends Socket {
    constructor(address, ...given) { // the theme comes with the first word, so that no picture is drawn in the other one
      const whole = new URL(address, location.href);
      whole.searchParams.set("theme", dark.matches ? "dark" : "light");
      super(whole.href, ...given);
      this.addEventListener("close", lost);
    }
  };

  // vtk.js and trame name neither the picture that the server draws nor what takes the keys in it
  new MutationObserver(() => {
    for (const image of document.querySelectorAll(".apn-3d img:not([alt])")) image.alt = "The crystal, drawn on the server";
    for (const inner of document.querySelectorAll(".apn-3d [tabindex='0']")) inner.tabIndex = -1;
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
