// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lets a patched module come back while the livepatch stays.
 *
 * When a patched module comes, the livepatch core fills the places in this module that refer to it, and it demands that
 * they are as they were in the file. Who makes them so again? On x86_64, from Linux 6.3 on, the core, when the module
 * goes (clear_relocate_add); but no kernel when our own pre_patch callback refuses the module (kernel/livepatch/core.c:
 * klp_module_coming), and none on POWER. Then the kernel would refuse the module's next try, so it is done here. Which
 * places these are is in the relocation sections that the core keeps in memory for its own use (struct klp_modinfo).
 *
 * It is done when nothing runs the code: after the object's post_unpatch callback, when the module goes or is refused
 * because a later livepatch did not apply, and behind a pre_patch callback that fails, after which the core calls nothing
 * more. When this livepatch is disabled and the module stays, nothing has to be done, as the core never enables it again;
 * and in a transition that was forced, tasks may still be in the code.
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

/* The relocation sections ".klp.rela.MODULE.SECTION": of one module, or of all (NULL). The next one from `i` on, or 0. */
static unsigned int next_section(unsigned int i, const char *object)
{
	static const char prefix[] = ".klp.rela.", vmlinux[] = "vmlinux.";
	const struct klp_modinfo *info = THIS_MODULE->klp_info;

	for (; i < info->hdr.e_shnum; i++) {
		const Elf_Shdr *section = &info->sechdrs[i];
		const char *name = info->secstrings + section->sh_name;

		if (!(section->sh_flags & SHF_RELA_LIVEPATCH) || strncmp(name, prefix, sizeof(prefix) - 1))
			continue;
		name += sizeof(prefix) - 1;
		if (object ? !strncmp(name, object, strlen(object)) && name[strlen(object)] == '.' :
			     strncmp(name, vmlinux, sizeof(vmlinux) - 1) != 0)
			return i;
	}
	return 0;
}

#define for_each_section(i, object) for (i = next_section(1, object); i; i = next_section(i + 1, object))

/* The relocations of such a section, and the place of one. */
#define for_each_relocation(relocation, i)                                                 \
	for (relocation = (void *)THIS_MODULE->klp_info->sechdrs[i].sh_addr;                \
	     (unsigned long)relocation < THIS_MODULE->klp_info->sechdrs[i].sh_addr +        \
						 THIS_MODULE->klp_info->sechdrs[i].sh_size; \
	     relocation++)

static void *place_of(unsigned int i, const Elf_Rela *relocation)
{
	const Elf_Shdr *sections = THIS_MODULE->klp_info->sechdrs;

	return (void *)(sections[sections[i].sh_info].sh_addr + relocation->r_offset);
}

/*
 * Each has note_sites(), called before the core fills in the first reference to a module, and klp_diff_clear_sites(),
 * with all its klp references, where klp-diff looks for them.
 */
#ifdef CONFIG_PPC64
#include "klp_runtime_sites_ppc64.h"
#else
#include "klp_runtime_sites_x86.h"
#endif

/* The author's own callbacks of the object whose callbacks are ours. */
struct klp_diff_wrapped {
	struct klp_object *object;
	struct klp_callbacks author;
};
static struct klp_diff_wrapped *klp_diff_wrapped;
static size_t klp_diff_n_wrapped;

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

	note_sites();
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
