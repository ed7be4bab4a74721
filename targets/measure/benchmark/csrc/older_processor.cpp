// A processor without some of its instruction sets, for one process: loaded before everything else (LD_PRELOAD), it has
// Linux trap the instruction CPUID (arch_prctl ARCH_SET_CPUID) and answers it itself, without the features that
// S2M_EDGE_WITHOUT_FEATURES names. Runtimes that ask the processor, and heed no variable, then choose the kernels of an
// older one. What was chosen before (the C library's memcpy) stays, and no instruction is forbidden: code that does not
// ask still runs. x86-64 Linux, on processors whose CPUID can be trapped (cpuid_fault in /proc/cpuinfo).

#include <asm/prctl.h>
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

namespace {

enum Register { eax, ebx, ecx, edx };

struct Feature {
    const char* name;  // as Linux calls it
    uint32_t leaf, subleaf;
    Register where;
    int bit;
};

constexpr Feature features[] = {
    {"fma", 1, 0, ecx, 12},
    {"avx", 1, 0, ecx, 28},
    {"f16c", 1, 0, ecx, 29},
    {"avx2", 7, 0, ebx, 5},
    {"avx512f", 7, 0, ebx, 16},
    {"avx512dq", 7, 0, ebx, 17},
    {"avx512ifma", 7, 0, ebx, 21},
    {"avx512pf", 7, 0, ebx, 26},
    {"avx512er", 7, 0, ebx, 27},
    {"avx512cd", 7, 0, ebx, 28},
    {"avx512bw", 7, 0, ebx, 30},
    {"avx512vl", 7, 0, ebx, 31},
    {"avx512vbmi", 7, 0, ecx, 1},
    {"avx512_vbmi2", 7, 0, ecx, 6},
    {"vaes", 7, 0, ecx, 9},
    {"vpclmulqdq", 7, 0, ecx, 10},
    {"avx512_vnni", 7, 0, ecx, 11},
    {"avx512_bitalg", 7, 0, ecx, 12},
    {"avx512_vpopcntdq", 7, 0, ecx, 14},
    {"avx512_4vnniw", 7, 0, edx, 2},
    {"avx512_4fmaps", 7, 0, edx, 3},
    {"avx512_vp2intersect", 7, 0, edx, 8},
    {"amx_bf16", 7, 0, edx, 22},
    {"avx512_fp16", 7, 0, edx, 23},
    {"amx_tile", 7, 0, edx, 24},
    {"amx_int8", 7, 0, edx, 25},
    {"avx_vnni", 7, 1, eax, 4},
    {"avx512_bf16", 7, 1, eax, 5},
    {"amx_fp16", 7, 1, eax, 21},
    {"avx_ifma", 7, 1, eax, 23},
    {"avx_vnni_int8", 7, 1, edx, 4},
    {"avx_ne_convert", 7, 1, edx, 5},
    {"amx_complex", 7, 1, edx, 8},
    {"avx_vnni_int16", 7, 1, edx, 10},
    {"avx10", 7, 1, edx, 19},
};
constexpr int count = sizeof(features) / sizeof(features[0]);

bool absent[count];
bool trapped = false;
struct sigaction theirs = {};  // what the process wants done on other faults: compilers have a handler of their own

int system_sigaction(int number, const struct sigaction* action, struct sigaction* before) {
    using Function = int (*)(int, const struct sigaction*, struct sigaction*);
    static const Function found = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "sigaction"));
    return found(number, action, before);
}

void set_cpuid(long allowed) { syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed); }

// What an older processor answers. Of this thread alone: the switch is one of each thread.
void ask(uint32_t leaf, uint32_t subleaf, uint32_t (&answer)[4]) {
    if (trapped) set_cpuid(1);
    __cpuid_count(leaf, subleaf, answer[eax], answer[ebx], answer[ecx], answer[edx]);
    if (trapped) set_cpuid(0);
    for (int i = 0; i < count; i++)
        // Leaf 1 has no subleaves and takes any.
        if (absent[i] && features[i].leaf == leaf && (leaf == 1 || features[i].subleaf == subleaf))
            answer[features[i].where] &= ~(uint32_t{1} << features[i].bit);
}

// A fault that is not ours, for whoever asked for it; unhandled, it happens again and ends the process.
void pass_on(int number, siginfo_t* what, void* context) {
    if ((theirs.sa_flags & SA_SIGINFO) != 0) {
        theirs.sa_sigaction(number, what, context);
    } else if (theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN) {
        theirs.sa_handler(number);
    } else {
        struct sigaction none = {};
        none.sa_handler = SIG_DFL;
        system_sigaction(number, &none, nullptr);
    }
}

void on_fault(int number, siginfo_t* what, void* context) {
    greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
    // A general protection fault has no address; where an address cannot be reached, the code may be what cannot be read.
    if (what->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) return pass_on(number, what, context);
    uint32_t answer[4];
    ask(static_cast<uint32_t>(registers[REG_RAX]), static_cast<uint32_t>(registers[REG_RCX]), answer);
    registers[REG_RAX] = answer[eax];
    registers[REG_RBX] = answer[ebx];
    registers[REG_RCX] = answer[ecx];
    registers[REG_RDX] = answer[edx];
    registers[REG_RIP] += 2;
}

bool named(const char* list, const char* name) {
    const size_t length = std::strlen(name);
    for (const char* at = list; (at = std::strstr(at, name)) != nullptr; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) return true;
    return false;
}

__attribute__((constructor)) void begin() {
    const char* list = std::getenv("S2M_EDGE_WITHOUT_FEATURES");
    if (list == nullptr) return;
    for (int i = 0; i < count; i++) absent[i] = named(list, features[i].name);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (system_sigaction(SIGSEGV, &action, &theirs) != 0) return;
    trapped = syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0L) == 0;
}

}  // namespace

extern "C" int sigaction(int number, const struct sigaction* action, struct sigaction* before) {
    if (!trapped || number != SIGSEGV) return system_sigaction(number, action, before);
    if (before != nullptr) *before = theirs;
    if (action != nullptr) theirs = *action;
    return 0;
}

extern "C" sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction action = {}, before = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    return sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

// Whether the process sees the feature: 1 or 0, asked by the instruction itself, so that the trap is what is tried;
// -1: the name is not known, or nothing is trapped.
extern "C" int s2m_edge_sees_feature(const char* name) {
    if (!trapped) return -1;
    for (const Feature& feature : features) {
        if (std::strcmp(feature.name, name) != 0) continue;
        uint32_t answer[4];
        __cpuid_count(feature.leaf, feature.subleaf, answer[eax], answer[ebx], answer[ecx], answer[edx]);
        return static_cast<int>(answer[feature.where] >> feature.bit & 1);
    }
    return -1;
}
