// Where the gateway is, and who calls it. The file beside the page can be replaced without building the page again.
export const settings = await (await fetch("settings.json")).json();
export const endpoint = new URL(settings.endpoint, location.href);
