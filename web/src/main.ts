/** The viewer: live images and maps of the server that this page came from. */

import { App } from "./ui/app";

const app = new App(location.origin);
document.body.append(app.element);
app.start();

// For measurements: when each image was ready, here, and on the screen.
declare global {
  interface Window {
    boreside: { timings(): ReturnType<App["timings"]["all"]> };
  }
}
window.boreside = { timings: () => app.timings.all() };
