export { JSON } from "./assembly/index";
