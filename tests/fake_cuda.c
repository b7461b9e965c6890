/* A CUDA driver of one make-believe GPU in the host's memory, for tests: what cuda.core and pycuda ask of a driver.

   Work on a stream is kept and done only when the stream is waited for, as a GPU may do it; a stream that is captured
   keeps its work in a graph, and a launch appends the graph's work to a stream. What is not here answers "not supported",
   and with FAKE_CUDA_TRACE set its name goes to stderr. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int R;
typedef unsigned long long P;
enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_SUPPORTED = 801 };
enum { MOST = 4096, ROOM = 256 << 20 };

typedef struct { int kind; void *to; const void *from; size_t n; unsigned char value; } Op;
typedef struct { Op *ops; int count, room; } List;
typedef struct Stream { List list; struct Graph *capturing; } Stream;
typedef struct Graph { List list; } Graph;

static int context_object, device_context_set = 0;
static long long live = 0;

static void add(List *l, Op op) {
  if (l->count == l->room) { l->room = l->room ? 2 * l->room : 16; l->ops = realloc(l->ops, l->room * sizeof(Op)); }
  l->ops[l->count++] = op;
}
static void give(void *stream, Op op) {
  Stream *s = stream;
  add(s->capturing ? &s->capturing->list : &s->list, op);
}
static void run(Stream *s) {
  for (int i = 0; i < s->list.count; i++) {
    Op *o = &s->list.ops[i];
    if (o->kind == 0) memmove(o->to, o->from, o->n);
    else memset(o->to, o->value, o->n);
  }
  s->list.count = 0;
}
static void *reserve(size_t n) {
  if (n > ROOM || live + (long long)n > ROOM) return NULL;
  void *p = NULL;
  if (posix_memalign(&p, 512, n ? n : 1)) return NULL;
  memset(p, 0xA5, n); /* device memory is not zero */
  live += n;
  return p;
}

R cuInit(unsigned f) { return OK; }
R cuDriverGetVersion(int *v) { *v = 13000; return OK; }
R cuDeviceGetCount(int *n) { *n = 1; return OK; }
R cuDeviceGet(int *d, int i) { if (i != 0) return 101; *d = 0; return OK; }
R cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "Make-Believe GPU"); return OK; }
R cuDeviceGetUuid_v2(char *u, int d) { memset(u, 7, 16); return OK; }
R cuDeviceTotalMem_v2(size_t *n, int d) { *n = ROOM; return OK; }
R cuDeviceGetPCIBusId(char *s, int n, int d) { snprintf(s, n, "0000:00:00.0"); return OK; }
R cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : a == 41 ? 1 : 0; return OK; }
R cuDeviceComputeCapability(int *a, int *b, int d) { *a = 8; *b = 7; return OK; }
R cuDevicePrimaryCtxRetain(void **c, int d) { *c = &context_object; return OK; }
R cuDevicePrimaryCtxRelease_v2(int d) { return OK; }
R cuDevicePrimaryCtxGetState(int d, unsigned *f, int *a) { *f = 0; *a = 1; return OK; }
R cuCtxSetCurrent(void *c) { device_context_set = c != NULL; return OK; }
R cuCtxGetCurrent(void **c) { *c = device_context_set ? &context_object : NULL; return OK; }
int fake_contexts_pushed = 0;
R cuCtxPushCurrent_v2(void *c) { device_context_set = 1; fake_contexts_pushed++; return OK; }
R cuCtxPopCurrent_v2(void **c) { *c = &context_object; fake_contexts_pushed--; return OK; }
R cuCtxGetDevice(int *d) { *d = 0; return OK; }
R cuCtxGetDevice_v2(int *d, void *c) { *d = 0; return OK; }
R cuCtxGetId(void *c, P *id) { *id = 1; return OK; }
R cuCtxGetApiVersion(void *c, unsigned *v) { *v = 13000; return OK; }
R cuCtxSynchronize(void) { return OK; }
R cuCtxGetStreamPriorityRange(int *a, int *b) { *a = *b = 0; return OK; }
R cuStreamCreate(void **s, unsigned f) { *s = calloc(1, sizeof(Stream)); return OK; }
R cuStreamCreateWithPriority(void **s, unsigned f, int p) { return cuStreamCreate(s, f); }
R cuStreamDestroy_v2(void *s) { run(s); free(((Stream *)s)->list.ops); free(s); return OK; }
R cuStreamSynchronize(void *s) { if (s && (uintptr_t)s > 16) run(s); return OK; }
R cuStreamQuery(void *s) { return OK; }
R cuStreamGetFlags(void *s, unsigned *f) { *f = 1; return OK; }
R cuStreamGetPriority(void *s, int *p) { *p = 0; return OK; }
R cuStreamGetCtx(void *s, void **c) { *c = &context_object; return OK; }
R cuStreamGetDevice(void *s, int *d) { *d = 0; return OK; }
R cuStreamBeginCapture_v2(void *s, int mode) { ((Stream *)s)->capturing = calloc(1, sizeof(Graph)); return OK; }
R cuStreamEndCapture(void *s, void **g) { *g = ((Stream *)s)->capturing; ((Stream *)s)->capturing = NULL; return OK; }
R cuStreamIsCapturing(void *s, int *st) { *st = (uintptr_t)s > 16 && ((Stream *)s)->capturing ? 1 : 0; return OK; }
R cuStreamGetCaptureInfo_v2(void *s, int *st, P *id, void **g, void *deps, size_t *n) {
  Graph *c = (uintptr_t)s > 16 ? ((Stream *)s)->capturing : NULL;
  *st = c ? 1 : 0;
  if (id) *id = 1;
  if (g) *g = c;
  if (n) *n = 0;
  return OK;
}
R cuStreamGetCaptureInfo_v3(void *s, int *st, P *id, void **g, void *deps, void *edges, size_t *n) {
  return cuStreamGetCaptureInfo_v2(s, st, id, g, deps, n);
}
R cuGraphInstantiateWithFlags(void **e, void *g, P flags) {
  Graph *copy = calloc(1, sizeof(Graph)), *from = g;
  for (int i = 0; i < from->list.count; i++) add(&copy->list, from->list.ops[i]);
  *e = copy;
  return OK;
}
R cuGraphInstantiateWithParams(void **e, void *g, void *params) {
  memset((char *)params + 0x18, 0, 4); /* CUgraphInstantiateResult result_out = SUCCESS */
  return cuGraphInstantiateWithFlags(e, g, 0);
}
R cuGraphInstantiate(void **e, void *g, P flags) { return cuGraphInstantiateWithFlags(e, g, flags); }
R cuGraphExecGetFlags(void *e, P *flags) { *flags = 0; return OK; }
R cuUserObjectCreate(void **o, void *p, void *destroy, unsigned n, unsigned flags) { *o = malloc(1); return OK; }
R cuUserObjectRelease(void *o, unsigned n) { return OK; }
R cuGraphRetainUserObject(void *g, void *o, unsigned n, unsigned flags) { return OK; }
R cuGraphReleaseUserObject(void *g, void *o, unsigned n) { return OK; }
R cuGraphClone(void **c, void *g) { return cuGraphInstantiateWithFlags(c, g, 0); }
R cuGraphUpload(void *e, void *s) { return OK; }
R cuGraphLaunch(void *e, void *s) {
  for (int i = 0; i < ((Graph *)e)->list.count; i++) give(s, ((Graph *)e)->list.ops[i]);
  return OK;
}
R cuGraphExecDestroy(void *e) { free(((Graph *)e)->list.ops); free(e); return OK; }
R cuGraphDestroy(void *g) { free(((Graph *)g)->list.ops); free(g); return OK; }
R cuMemAlloc_v2(P *p, size_t n) { void *m = reserve(n); *p = (P)(uintptr_t)m; return m ? OK : OUT_OF_MEMORY; }
R cuMemFree_v2(P p) { free((void *)(uintptr_t)p); return OK; }
R cuMemAllocHost_v2(void **p, size_t n) { *p = reserve(n); return *p ? OK : OUT_OF_MEMORY; }
R cuMemHostAlloc(void **p, size_t n, unsigned f) { return cuMemAllocHost_v2(p, n); }
R cuMemFreeHost(void *p) { free(p); return OK; }
R cuMemcpyAsync(P to, P from, size_t n, void *s) {
  give(s, (Op){0, (void *)(uintptr_t)to, (const void *)(uintptr_t)from, n, 0});
  return OK;
}
R cuMemcpyHtoDAsync_v2(P to, const void *from, size_t n, void *s) { return cuMemcpyAsync(to, (P)(uintptr_t)from, n, s); }
R cuMemcpyDtoHAsync_v2(void *to, P from, size_t n, void *s) { return cuMemcpyAsync((P)(uintptr_t)to, from, n, s); }
R cuMemcpyDtoDAsync_v2(P to, P from, size_t n, void *s) { return cuMemcpyAsync(to, from, n, s); }
R cuMemsetD8Async(P to, unsigned char v, size_t n, void *s) {
  give(s, (Op){1, (void *)(uintptr_t)to, NULL, n, v});
  return OK;
}
R cuPointerGetAttribute(void *data, int a, P p) { memset(data, 0, 4); return OK; }
R cuPointerGetAttributes(unsigned n, int *which, void **data, P p) {
  for (unsigned i = 0; i < n; i++)
    if (which[i] == 2) *(int *)data[i] = 1; /* CU_MEMORYTYPE_HOST */
    else memset(data[i], 0, 4);
  return OK;
}
R cuGetErrorName(R e, const char **s) { *s = e == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : e == 101 ? "CUDA_ERROR_INVALID_DEVICE" : "CUDA_ERROR"; return OK; }
R cuGetErrorString(R e, const char **s) { *s = e == OUT_OF_MEMORY ? "out of memory" : "make-believe error"; return OK; }
R cuEventCreate(void **e, unsigned f) { *e = malloc(1); return OK; }
R cuEventRecord(void *e, void *s) { return OK; }
R cuEventDestroy_v2(void *e) { free(e); return OK; }

static R not_supported(void) { return NOT_SUPPORTED; }

R cuGetProcAddress_v2(const char *name, void **f, int version, P flags, int *status) {
  char with[256];
  *f = NULL;
  for (int v = 4; v >= 1 && !*f; v--) {
    if (v > 1) snprintf(with, sizeof with, "%s_v%d", name, v);
    else snprintf(with, sizeof with, "%s", name);
    *f = dlsym(RTLD_DEFAULT, with);
  }
  if (!*f) {
    if (getenv("FAKE_CUDA_TRACE")) fprintf(stderr, "fake cuda: no %s\n", name);
    *f = (void *)not_supported;
  }
  if (status) *status = 0;
  return OK;
}
R cuGetProcAddress(const char *name, void **f, int version, P flags) { return cuGetProcAddress_v2(name, f, version, flags, NULL); }
