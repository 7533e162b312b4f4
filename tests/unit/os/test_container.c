// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "container.h"

#define A "3f4e1c0a9b8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f"
#define B "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UID "8f1c2d3e-4a5b-6c7d-8e9f-0a1b2c3d4e5f"
#define UID_ "8f1c2d3e_4a5b_6c7d_8e9f_0a1b2c3d4e5f"
#define STATIC_UID "0123456789abcdef0123456789abcdef"

static const struct {
	const char *text, *id, *runtime, *pod_uid;
} cases[] = {
	/* none */
	{ "0::/\n", "", "", "" },
	{ "0::/init.scope\n", "", "", "" },
	{ "0::/user.slice/user-1000.slice/session-3.scope\n", "", "", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-python-123.scope\n", "", "", "" },
	{ "0::/system.slice/docker.service\n", "", "", "" },
	{ "0::/system.slice/containerd.service\n", "", "", "" },
	{ "0::/system.slice/snap.lxd.daemon.service\n", "", "", "" },
	{ "0::/../../user.slice\n", "", "", "" },
	{ "4:memory:/process_api/b67e86dd7d46acd18d71205569a2d76a\n0::/\n", "", "", "" },
	/* docker */
	{ "0::/docker/" A "\n", A, "docker", "" },
	{ "0::/system.slice/docker-" A ".scope\n", A, "docker", "" },
	{ "0::/system.slice/docker-" A ".scope/init.scope\n", A, "docker", "" },
	{ "0::/docker/" A "/system.slice/nginx.service\n", A, "docker", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A ".scope\n", A, "docker", "" },
	{ "12:pids:/docker/" A "\n11:memory:/docker/" A "\n1:name=systemd:/docker/" A "\n0::/system.slice/containerd.service\n", A, "docker", "" },
	{ "13:rdma:/\n12:cpuset:/\n5:memory:/system.slice/docker-" A ".scope\n", A, "docker", "" },
	{ "0::/my-parent/" A "\n", A, "", "" },
	{ "0::/actions_job/" A "\n", A, "", "" },
	{ "0::/system.slice:docker:" A "\n", A, "docker", "" },
	{ "0::/docker/" A "/docker/" B "\n", B, "docker", "" },
	{ "0::/docker/buildkit/4x5hq2l7w9q1o0f8kzv3y6t5n\n", "4x5hq2l7w9q1o0f8kzv3y6t5n", "buildkit", "" },
	/* seen from another cgroup namespace */
	{ "0::/../" A "\n", A, "", "" },
	{ "0::/../docker-" A ".scope\n", A, "docker", "" },
	{ "0::/../../pod" UID "/" A "\n", A, "", UID },
	{ "0::/../cri-containerd-" A ".scope\n", A, "containerd", "" },
	/* Kubernetes */
	{ "0::/kubepods/burstable/pod" UID "/" A "\n", A, "", UID },
	{ "0::/kubepods/pod" UID "/" A "\n", A, "", UID },
	{ "0::/kubepods/besteffort/pod" STATIC_UID "/" A "\n", A, "", STATIC_UID },
	{ "11:memory:/kubepods/burstable/pod" UID "/" A "\n", A, "", UID },
	{ "0::/kubepods/burstable/pod" UID "/crio-" A "\n", A, "cri-o", UID },
	{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" A ".scope\n", A, "containerd", UID },
	{ "0::/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" A ".scope\n", A, "containerd", UID },
	{ "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" STATIC_UID ".slice/crio-" A ".scope\n", A, "cri-o", STATIC_UID },
	{ "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/crio-" A ".scope/container\n", A, "cri-o", UID },
	{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/docker-" A ".scope\n", A, "docker", UID },
	{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice\n", "", "", UID },
	{ "0::/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" A "\n", A, "containerd", UID },
	{ "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" UID_ ".slice/cri-containerd-" A ".scope\n", A, "containerd", UID },
	{ "0::/docker/" B "/kubelet/kubepods/besteffort/pod" UID "/" A "\n", A, "", UID },
	{ "0::/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" A ".scope\n", "", "", UID },
	{ "0::/kubepods/podnonsense/x\n", "", "", "" },
	{ "0::/kubepods/pod" UID "x/x\n", "", "", "" },
	/* podman */
	{ "0::/machine.slice/libpod-" A ".scope\n", A, "podman", "" },
	{ "0::/machine.slice/libpod-" A ".scope/container\n", A, "podman", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope/container\n", A, "podman", "" },
	{ "0::/machine.slice/machine-libpod_pod_" B ".slice/libpod-" A ".scope/container\n", A, "podman", "" },
	{ "0::/libpod_parent/libpod-" A "\n", A, "podman", "" },
	{ "0::/system.slice/web.service/libpod-payload-" A "\n", A, "podman", "" },
	{ "0::/machine.slice/libpod-conmon-" A ".scope\n", "", "", "" },
	/* others */
	{ "0::/system.slice/nerdctl-" A ".scope\n", A, "containerd", "" },
	{ "0::/lxc/web01\n", "web01", "lxc", "" },
	{ "4:memory:/lxc/101/ns/system.slice/cron.service\n", "101", "lxc", "" },
	{ "0::/lxc.payload.web01/system.slice/app.service\n", "web01", "lxc", "" },
	{ "0::/lxc.payload/web01\n", "web01", "lxc", "" },
	{ "0::/lxc.monitor.web01\n", "", "", "" },
	{ "0::/machine.slice/machine-debian\\x2dtree.scope/payload\n", "debian-tree", "systemd-nspawn", "" },
	{ "0::/machine.slice/systemd-nspawn@build\\x2d1.service/payload/system.slice/app.service\n", "build-1", "systemd-nspawn", "" },
	{ "0::/machine.slice/machine-lxc\\x2d7\\x2dweb.scope\n", "lxc-7-web", "libvirt-lxc", "" },
	{ "0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope\n", "", "", "" },
	{ "9:memory:/ecs/c5a0b1d2e3f405162738495a6b7c8d9e/" A "\n", A, "ecs", "" },
	{ "9:memory:/ecs/c5a0b1d2e3f405162738495a6b7c8d9e/c5a0b1d2e3f405162738495a6b7c8d9e-3935363592\n", "c5a0b1d2e3f405162738495a6b7c8d9e-3935363592", "ecs", "" },
	{ "9:memory:/ecs/c5a0b1d2e3f405162738495a6b7c8d9e\n", "", "", "" },
	{ "5:memory:/mesos/" UID "\n", UID, "mesos", "" },
	{ "5:memory:/garden/" UID "\n", UID, "garden", "" },
	{ "0::/system.slice/docker-" A ".scope (deleted)\n", A, "docker", "" },
	/* nearly */
	{ "0::/docker/" A "0\n", "", "", "" },
	{ "0::/docker/3F4E1C0A9B8D7E6F5A4B3C2D1E0F9A8B7C6D5E4F3A2B1C0D9E8F7A6B5C4D3E2F\n", "", "", "" },
	{ "0::/docker-.scope\n", "", "", "" },
	{ "0::/machine.slice/machine-.scope\n", "", "", "" },
	{ "0::/lxc.payload.\n", "", "", "" },
	{ "0::/lxc/\n", "", "", "" },
	{ "0::\n", "", "", "" },
	{ "0:", "", "", "" },
	{ ":::", "", "", "" },
	{ "\n\n\n", "", "", "" },
	{ "", "", "", "" },
};

static void what_runtimes_write(void **state)
{
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool found = container__parse(cases[i].text, strlen(cases[i].text), &c);

		if (strcmp(c.id, cases[i].id) || strcmp(c.runtime, cases[i].runtime) || strcmp(c.pod_uid, cases[i].pod_uid))
			fail_msg("%s -> '%s' '%s' '%s'", cases[i].text, c.id, c.runtime, c.pod_uid);
		assert_int_equal(found, *c.id || *c.pod_uid);
	}
}

/* The first hierarchy that knows the container wins over one that knows the pod only. */
static void lines_are_put_together(void **state)
{
	const char *text = "3:cpu:/kubepods/pod" UID "\n2:memory:/kubepods/pod" UID "/" A "\n1:pids:/docker/" B "\n";
	struct container c;

	(void)state;
	assert_true(container__parse(text, strlen(text), &c));
	assert_string_equal(c.id, A);
	assert_string_equal(c.pod_uid, UID);
}

/* A copy of exactly these bytes, so that a sanitizer sees every read beyond them. */
static void parse_exactly(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct container c;

	memcpy(copy, text, len);
	container__parse(copy, len, &c);
	assert_true(strlen(c.id) < sizeof(c.id) && strlen(c.runtime) < sizeof(c.runtime) && strlen(c.pod_uid) < sizeof(c.pod_uid));
	free(copy);
}

static void any_bytes(void **state)
{
	static const char *const words[] = {
		"/", ":", "..", "docker", "-", A, ".scope", "pod", UID_, ".slice", "lxc", "lxc.payload.", "machine.slice", "machine-", "\\x2d",
		"\\x", "ecs", "\n", "systemd-nspawn@", ".service", "libpod", "kubepods", "\xff", " (deleted)", "buildkit", "garden", "0::",
	};
	char text[4096];

	(void)state;
	srandom(1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t len = 0; len <= strlen(cases[i].text); len++)
			parse_exactly(cases[i].text, len);
	for (int round = 0; round < 200000; round++) {
		size_t len = 0;

		for (int n = random() % 12; n >= 0; n--) {
			const char *word = words[random() % (sizeof(words) / sizeof(words[0]))];

			memcpy(text + len, word, strlen(word));
			len += strlen(word);
			if (!(random() % 8))
				text[len++] = random();
		}
		parse_exactly(text, len);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "0::/lxc/", 8);
	parse_exactly(text, sizeof(text));
}

static void of_processes(void **state)
{
	struct container c;

	(void)state;
	assert_int_equal(container__of(getpid(), &c), 0);
	assert_int_equal(container__of(1 << 22, &c), -ESRCH);
	assert_string_equal(c.id, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_runtimes_write),
		cmocka_unit_test(lines_are_put_together),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(of_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
