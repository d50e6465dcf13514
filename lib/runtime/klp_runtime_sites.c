// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lets a patched module come back while the livepatch stays.
 *
 * When a patched module comes, the livepatch core fills the places in this module that refer to it, and it demands that
 * they are zero (arch/x86/kernel/module.c: apply_relocate_add). Who zeroes them again? From Linux 6.3 on the core, when the
 * module goes (clear_relocate_add); but no kernel when our own pre_patch callback refuses the module (kernel/livepatch/
 * core.c: klp_module_coming). Then the kernel would refuse the module's next try, so it is done here. Which places these
 * are is in the relocation sections that the core keeps in memory for its own use (struct klp_modinfo).
 *
 * It is done when nothing runs the code: after the object's post_unpatch callback, when the module goes or is refused
 * because a later livepatch did not apply, and behind a pre_patch callback that fails, after which the core calls nothing
 * more. When this livepatch is disabled and the module stays, nothing has to be done, as the core never enables it again;
 * and in a transition that was forced, tasks may still be in the code.
 *
 * A place may be text, read-only or data; text_poke (arch/x86/kernel/alternative.c), with which the core fills them, writes
 * all of these. It is not exported, so it is called through a klp relocation, as is what belongs to it. The processors
 * need not be told (text_poke_sync): before any runs this code again, the core has filled it in, and tells them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/elf.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "klp_runtime.h"

/*
 * Names in which klp references travel through the link (lib/elf/klp_abi.h), by another name: the assemblers of old
 * kernels take no quoted name as an operand.
 */
#define KLP_REFERENCE(alias, name)                            \
	asm(".weak \".klp.ref.vmlinux.vmlinux." name ",0\"\n" \
	    ".set " alias ", \".klp.ref.vmlinux.vmlinux." name ",0\"")
KLP_REFERENCE("klp_diff_text_poke", "text_poke");
KLP_REFERENCE("klp_diff_text_mutex", "text_mutex");
extern void *klp_diff_text_poke(void *place, const void *from, size_t size);
extern struct mutex klp_diff_text_mutex;

/* The author's own callbacks of the object whose callbacks are ours. */
struct klp_diff_wrapped {
	struct klp_object *object;
	struct klp_callbacks author;
};
static struct klp_diff_wrapped *klp_diff_wrapped;
static size_t klp_diff_n_wrapped;

/* Whether it is one of the sections ".klp.rela.OBJECT.SECTION" of that object. */
static bool is_section_of(const struct klp_modinfo *info, const Elf_Shdr *section, const char *object)
{
	static const char prefix[] = ".klp.rela.";
	const char *name = info->secstrings + section->sh_name;
	const size_t length = strlen(object);

	if (!(section->sh_flags & SHF_RELA_LIVEPATCH) || strncmp(name, prefix, sizeof(prefix) - 1))
		return false;
	name += sizeof(prefix) - 1;
	return strncmp(name, object, length) == 0 && name[length] == '.';
}

/* What the core writes for a type of relocation. */
static size_t written_size(const Elf_Rela *relocation)
{
	switch (ELF64_R_TYPE(relocation->r_info)) {
	case R_X86_64_64:
	case R_X86_64_PC64:
		return 8;
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_32:
	case R_X86_64_32S:
		return 4;
	default: /* R_X86_64_NONE; the core refuses others */
		return 0;
	}
}

/* All klp references of this file are in this function, where klp-diff looks for them. */
void noinline klp_diff_clear_sites(const char *object)
{
	static const u8 zeros[8];
	const struct klp_modinfo *info = THIS_MODULE->klp_info;
	unsigned int i;

	mutex_lock(&klp_diff_text_mutex);
	for (i = 1; i < info->hdr.e_shnum; i++) {
		const Elf_Shdr *section = &info->sechdrs[i];
		const Elf_Rela *relocation = (void *)section->sh_addr;
		const Elf_Rela *end = (void *)(section->sh_addr + section->sh_size);

		if (!is_section_of(info, section, object))
			continue;
		for (; relocation < end; relocation++) {
			void *place = (void *)(info->sechdrs[section->sh_info].sh_addr + relocation->r_offset);
			const size_t size = written_size(relocation);

			if (size)
				klp_diff_text_poke(place, zeros, size);
		}
	}
	mutex_unlock(&klp_diff_text_mutex);
}

static const struct klp_callbacks *author_callbacks(const struct klp_object *object)
{
	size_t i;

	for (i = 0; i < klp_diff_n_wrapped; i++)
		if (klp_diff_wrapped[i].object == object)
			return &klp_diff_wrapped[i].author;
	return NULL;
}

static int wrapped_pre_patch(struct klp_object *object)
{
	const struct klp_callbacks *author = author_callbacks(object);
	const int err = author && author->pre_patch ? author->pre_patch(object) : 0;

	if (err && object->mod->state != MODULE_STATE_LIVE)
		klp_diff_clear_sites(object->name);
	return err;
}

static void wrapped_post_unpatch(struct klp_object *object)
{
	const struct klp_callbacks *author = author_callbacks(object);

	if (author && author->post_unpatch)
		author->post_unpatch(object);
	if (object->mod->state != MODULE_STATE_LIVE)
		klp_diff_clear_sites(object->name);
}

int klp_diff_wrap_callbacks(struct klp_object *objects)
{
	struct klp_object *object;
	size_t count = 0;

	for (object = objects; object->funcs; object++)
		count++;
	klp_diff_wrapped = kcalloc(count, sizeof(*klp_diff_wrapped), GFP_KERNEL);
	if (!klp_diff_wrapped)
		return -ENOMEM;
	for (object = objects; object->funcs; object++) {
		if (!object->name)
			continue;
		klp_diff_wrapped[klp_diff_n_wrapped].object = object;
		klp_diff_wrapped[klp_diff_n_wrapped++].author = object->callbacks;
		object->callbacks.pre_patch = wrapped_pre_patch;
		if (klp_diff_clear_when_gone)
			object->callbacks.post_unpatch = wrapped_post_unpatch;
	}
	return 0;
}

void klp_diff_unwrap_callbacks(void)
{
	kfree(klp_diff_wrapped);
	klp_diff_wrapped = NULL;
	klp_diff_n_wrapped = 0;
}
