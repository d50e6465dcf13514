// SPDX-License-Identifier: GPL-2.0
/* Takes the room of a larger module that has gone, so that this one comes to another place. Does nothing. */
#include <linux/module.h>

static char room[700 << 10];
module_param_string(room, room, sizeof(room), 0);

MODULE_LICENSE("GPL");
