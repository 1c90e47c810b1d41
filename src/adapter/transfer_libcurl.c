/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcurl, loaded when the first transfer wants it and not with the agent: with the dozens of
 * libraries behind it, it takes about 3 MB of memory, and an agent that waits for its next update
 * needs none of it.  Here are the functions that the transfers call, under their own names; each
 * passes its arguments on.  A libcurl that cannot be loaded shows as curl_global_init() failing,
 * and nothing is called after that.
 */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <glib.h>

#include "transfer_internal.h"

#define LIBCURL "libcurl.so.4"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define FUNCTIONS(X)                                                                               \
    X(curl_global_init)                                                                            \
    X(curl_global_cleanup)                                                                         \
    X(curl_easy_init)                                                                              \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_reset)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_header)                                                                            \
    X(curl_easy_strerror)                                                                          \
    X(curl_easy_pause)                                                                             \
    X(curl_mime_init)                                                                              \
    X(curl_mime_free)                                                                              \
    X(curl_mime_addpart)                                                                           \
    X(curl_mime_name)                                                                              \
    X(curl_mime_filename)                                                                          \
    X(curl_mime_type)                                                                              \
    X(curl_mime_data_cb)                                                                           \
    X(curl_multi_init)                                                                             \
    X(curl_multi_cleanup)                                                                          \
    X(curl_multi_setopt)                                                                           \
    X(curl_multi_assign)                                                                           \
    X(curl_multi_add_handle)                                                                       \
    X(curl_multi_remove_handle)                                                                    \
    X(curl_multi_info_read)                                                                        \
    X(curl_multi_socket_action)                                                                    \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_url)                                                                                    \
    X(curl_url_cleanup)                                                                            \
    X(curl_url_get)                                                                                \
    X(curl_url_set)                                                                                \
    X(curl_getdate)                                                                                \
    X(curl_free)

/* NOLINTBEGIN(bugprone-macro-parentheses): names of functions */
#define MEMBER(name) __typeof__(&(name)) name;
static struct {
    gboolean tried, there;
    FUNCTIONS(MEMBER)
} lib;

static gboolean load(void)
{
    void *handle;

    if (lib.tried)
        return lib.there;
    lib.tried = TRUE;
    handle = dlopen(LIBCURL, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        g_critical("no transfer is possible: %s", dlerror());
        return FALSE;
    }
#define FIND(name) *(void **)&lib.name = dlsym(handle, #name);
    FUNCTIONS(FIND)
#define IS_THERE(name) &&lib.name
    lib.there = TRUE FUNCTIONS(IS_THERE);
    if (!lib.there)
        g_critical("no transfer is possible: " LIBCURL " is older than 7.84");
    return lib.there;
}

/* NOLINTEND(bugprone-macro-parentheses) */

CURLcode curl_global_init(long flags)
{
    return load() ? lib.curl_global_init(flags) : CURLE_FAILED_INIT;
}

void curl_global_cleanup(void)
{
    if (load())
        lib.curl_global_cleanup();
}

CURL *curl_easy_init(void)
{
    return load() ? lib.curl_easy_init() : NULL;
}

void curl_easy_cleanup(CURL *easy)
{
    lib.curl_easy_cleanup(easy);
}

void curl_easy_reset(CURL *easy)
{
    lib.curl_easy_reset(easy);
}

/* NOLINTBEGIN(clang-analyzer-valist.Uninitialized,bugprone-branch-clone): clang-tidy 14 sees
 * neither va_start() here nor that the types differ. */

/* The option's number says of which type its argument is. */
CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    CURLcode code;
    va_list arguments;

    va_start(arguments, option);
    if (option >= CURLOPTTYPE_BLOB ||
        (option >= CURLOPTTYPE_OBJECTPOINT && option < CURLOPTTYPE_OFF_T))
        code = lib.curl_easy_setopt(easy, option, va_arg(arguments, void *));
    else if (option >= CURLOPTTYPE_OFF_T)
        code = lib.curl_easy_setopt(easy, option, va_arg(arguments, curl_off_t));
    else
        code = lib.curl_easy_setopt(easy, option, va_arg(arguments, long));
    va_end(arguments);
    return code;
}

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    CURLcode code;
    va_list arguments;

    va_start(arguments, info);
    code = lib.curl_easy_getinfo(easy, info, va_arg(arguments, void *));
    va_end(arguments);
    return code;
}

CURLHcode curl_easy_header(CURL *easy, const char *name, size_t index, unsigned int origin,
                           int request, struct curl_header **ret_header)
{
    return lib.curl_easy_header(easy, name, index, origin, request, ret_header);
}

const char *curl_easy_strerror(CURLcode code)
{
    return lib.curl_easy_strerror(code);
}

CURLcode curl_easy_pause(CURL *easy, int bitmask)
{
    return lib.curl_easy_pause(easy, bitmask);
}

curl_mime *curl_mime_init(CURL *easy)
{
    return lib.curl_mime_init(easy);
}

void curl_mime_free(curl_mime *form)
{
    lib.curl_mime_free(form);
}

curl_mimepart *curl_mime_addpart(curl_mime *form)
{
    return lib.curl_mime_addpart(form);
}

CURLcode curl_mime_name(curl_mimepart *part, const char *name)
{
    return lib.curl_mime_name(part, name);
}

CURLcode curl_mime_filename(curl_mimepart *part, const char *name)
{
    return lib.curl_mime_filename(part, name);
}

CURLcode curl_mime_type(curl_mimepart *part, const char *type)
{
    return lib.curl_mime_type(part, type);
}

CURLcode curl_mime_data_cb(curl_mimepart *part, curl_off_t size, curl_read_callback on_read,
                           curl_seek_callback on_seek, curl_free_callback on_free, void *user_data)
{
    return lib.curl_mime_data_cb(part, size, on_read, on_seek, on_free, user_data);
}

CURLM *curl_multi_init(void)
{
    return lib.curl_multi_init();
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
    return lib.curl_multi_cleanup(multi);
}

CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
    CURLMcode code;
    va_list arguments;

    va_start(arguments, option);
    if ((int)option >= CURLOPTTYPE_OFF_T)
        code = lib.curl_multi_setopt(multi, option, va_arg(arguments, curl_off_t));
    else if ((int)option >= CURLOPTTYPE_OBJECTPOINT)
        code = lib.curl_multi_setopt(multi, option, va_arg(arguments, void *));
    else
        code = lib.curl_multi_setopt(multi, option, va_arg(arguments, long));
    va_end(arguments);
    return code;
}

/* NOLINTEND(clang-analyzer-valist.Uninitialized,bugprone-branch-clone) */

CURLMcode curl_multi_assign(CURLM *multi, curl_socket_t socket, void *data)
{
    return lib.curl_multi_assign(multi, socket, data);
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    return lib.curl_multi_add_handle(multi, easy);
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
    return lib.curl_multi_remove_handle(multi, easy);
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *ret_left)
{
    return lib.curl_multi_info_read(multi, ret_left);
}

CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t socket, int events, int *ret_running)
{
    return lib.curl_multi_socket_action(multi, socket, events, ret_running);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    return lib.curl_slist_append(list, text);
}

void curl_slist_free_all(struct curl_slist *list)
{
    if (list)
        lib.curl_slist_free_all(list);
}

CURLU *curl_url(void)
{
    return load() ? lib.curl_url() : NULL;
}

void curl_url_cleanup(CURLU *url)
{
    if (url)
        lib.curl_url_cleanup(url);
}

/* Not under its own name: that has a const more in newer versions. */
CURLUcode transfer_url_get(CURLU *url, CURLUPart part, char **ret_text, unsigned int flags)
{
    return lib.curl_url_get(url, part, ret_text, flags);
}

CURLUcode curl_url_set(CURLU *url, CURLUPart part, const char *text, unsigned int flags)
{
    return lib.curl_url_set(url, part, text, flags);
}

time_t curl_getdate(const char *text, const time_t *unused)
{
    return load() ? lib.curl_getdate(text, unused) : -1;
}

void curl_free(void *memory)
{
    if (memory)
        lib.curl_free(memory);
}
