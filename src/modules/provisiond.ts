// What the host offers to every run.
export { log } from "provisiond:host";
