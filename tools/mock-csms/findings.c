/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gathers what is wrong with one frame. */
#include "findings.h"

#include "log.h"

void findings_init(Findings *findings)
{
    findings->texts = g_ptr_array_new_with_free_func(g_free);
    findings->code = NULL;
    findings->reason = NULL;
}

void findings_clear(Findings *findings)
{
    g_clear_pointer(&findings->texts, g_ptr_array_unref);
}

void findings_add(Findings *findings, const char *code, const char *format, ...)
{
    va_list args;
    char *text;

    if (findings->texts->len >= FINDINGS_MAX)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(findings->texts, text);
    if (code != NULL && findings->code == NULL) {
        findings->code = code;
        findings->reason = text;
    }
}

json_t *findings_to_json(const Findings *findings)
{
    json_t *list = json_array();

    for (guint i = 0; i < findings->texts->len; i++)
        json_array_append_new(list, log_text(g_ptr_array_index(findings->texts, i), -1));
    return list;
}
