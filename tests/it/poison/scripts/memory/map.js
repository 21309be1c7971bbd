// end: killed heap
// cpuMs: 20000
const all = new Map();
for (let key = 0; ; key++) all.set({ key }, [key]);
