// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A file that says it is ELF, opened as every mapped file of a target is; one of four lengths is cut off once it is open. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf_file.h"
#include "input.h"
#include "module.h"
#include "sigbus.h"
#include "tls.h"
#include "version.h"

static void look_at_symbols(const struct elf_file *f)
{
	static const char *const names[] = { "_PyRuntime", "malloc", "", "main" };
	struct usdt_note note;
	struct elf_sym sym;
	uint64_t slot;
	const char *name;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		elf_file__import(f, names[i], &slot);
		if (elf_file__symbol(f, names[i], &sym))
			continue;
		elf_file__bytes(f, sym.addr, 40);
		name = elf_file__function_at(f, sym.addr);
		must(!name || strlen(name) < 1 << 20);
	}
	elf_file__needs(f, "libc");
	if (!elf_file__usdt(f, "python", "gc__start", &note))
		must(memchr(note.args, '\0', sizeof(note.args)));
	module__is_cpython(f);
}

/* Every byte of a segment can be read. */
static void look_at_segments(const struct elf_file *f, struct py_version *version)
{
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(f, &segs);
	uint64_t off, addr, bias;
	const uint8_t *bytes;
	volatile uint8_t last;

	for (size_t i = 0; i < cnt; i++) {
		bytes = elf_file__bytes(f, segs[i].addr, segs[i].file_size);
		if (bytes && segs[i].file_size) {
			last = bytes[0] + bytes[segs[i].file_size - 1];
			(void)last;
			version__from_text((const char *)bytes, segs[i].file_size, version);
		}
		must(!elf_file__bytes(f, segs[i].addr, UINT64_MAX));
		if (!elf_file__addr_to_off(f, segs[i].addr, &off))
			elf_file__off_to_addr(f, off, &addr);
		elf_file__bias(f, segs[i].addr & -4096ULL, segs[i].file_off & -4096ULL, &bias);
	}
}

static void look_as_interpreter(struct elf_file *f)
{
	struct py_interp py = { .elf = f, .mem = remote__image("", 1, 0) };
	char text[256] = "";
	const struct reason why = { text, sizeof(text) };

	version__detect(&py, &why);
	module__returned_variable(&py, "PyInterpreterState_Head");
	tls__current_tstate(&py, 0x1000);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return sigbus__survive();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct py_version version;
	struct elf_file *f;
	char path[64];

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!elf_file__open(path, &f)) {
		must(size % 4 != 3 || !ftruncate(fd, 0));
		look_at_symbols(f);
		look_at_segments(f, &version);
		look_as_interpreter(f);
		elf_file__close(f);
	}
	close(fd);
	return 0;
}
