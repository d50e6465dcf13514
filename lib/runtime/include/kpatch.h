/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of kpatch's old core module, as far as patches use it: shadow variables. */
#ifndef KLP_DIFF_KPATCH_H
#define KLP_DIFF_KPATCH_H

#include "kpatch-shadow.h"

#endif
