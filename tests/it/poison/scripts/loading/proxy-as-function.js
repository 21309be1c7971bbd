// end: killed cpu
export default new Proxy(() => {}, { apply(_, __, [ctx]) { if (!ctx.harm) return "innocent"; for (;;) {} } });
