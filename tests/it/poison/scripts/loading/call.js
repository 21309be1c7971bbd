// end: refused fetch is only available while a run is in progress
await fetch("https://peer.example/");
export default () => 1;
