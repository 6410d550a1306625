// A Worker for pages that are opened from a file, where browsers start none: its script runs in a
// hidden frame of the page, which is told messages and tells its own. The theme's search asks for
// it under this name.
window.IFrameWorker = class extends EventTarget {
  constructor(url) {
    super();
    this.waiting = [];
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.documentElement.append(frame);
    const inside = frame.contentWindow;
    inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    const run = (source) =>
      new Promise((done, failed) => {
        const script = inside.document.createElement("script");
        script.src = source;
        script.onload = done;
        script.onerror = failed;
        inside.document.head.append(script);
      });
    // one after the other, as a worker does
    inside.importScripts = (...sources) =>
      sources.reduce((before, source) => before.then(() => run(source)), Promise.resolve());
    run(url).then(() => {
      this.inside = inside;
      this.waiting.splice(0).forEach((data) => this.postMessage(data));
    });
  }

  postMessage(data) {
    if (!this.inside) this.waiting.push(data);
    else this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }));
  }
};
if (location.protocol === "file:") window.Worker = window.IFrameWorker;
