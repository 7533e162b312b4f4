// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Becomes itself again and again, as many times as the five digits of its argument say: without a C library, 40 us each. */
static long call(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}

__attribute__((used)) void begin(long *stack)
{
	char **argv = (char **)(stack + 1), *digit = argv[1] + 4;

	while (digit >= argv[1] && *digit == '0')
		*digit-- = '9';
	if (digit < argv[1])
		call(60, 0, 0, 0); /* exit */
	--*digit;
	call(59, (long)argv[0], (long)argv, 0); /* execve */
	call(60, 1, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp,%rdi\n and $-16,%rsp\n call begin\n");
