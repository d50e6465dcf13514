// An entry that assembler code puts into a table nobody knows, as DECLARE_PCI_FIXUP does: not lost without a word.
// expect: refused unsupported-section .fixups_for_devices
#include "kernel.h"
void quirk(void) { printk("quirk\n"); }
#ifdef PATCHED
__asm__(".section .fixups_for_devices,\"a\"\n.short 0x8086, 0x1234\n.long quirk - .\n.previous");
#endif
