// What the tests of the web platform expect around them, in a host that is no
// browser. The harness puts the test file between this and `end.js`.
module.exports = async () => {
globalThis.self = globalThis;
globalThis.GLOBAL = { isWindow: () => false, isWorker: () => true, isShadowRealm: () => false };
const location = new URL("https://web-platform.test/FOLDER/");
// Files beside the test.
const fetch = (input, init) => globalThis.fetch(new URL(input, location), init);
const importScripts = () => {};
// Reads blobs for a helper of the tests; logic has `blob.text()`.
const FileReader = class {
  readAsText(blob) {
    this.read(blob.text());
  }
  readAsArrayBuffer(blob) {
    this.read(blob.arrayBuffer());
  }
  read(promise) {
    promise.then((result) => {
      this.result = result;
      this.onload();
    });
  }
};
