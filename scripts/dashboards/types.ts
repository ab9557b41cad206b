// What an exported document has to be. Grafana's own types describe dashboards as its code holds
// them, with enums; in JSON an enum is its value, and a panel's options are those of its plugin.
import type * as grafana from "@grafana/schema";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

export type { ConfigMap, ServiceAccount } from "kubernetes-types/core/v1";
export type { DaemonSet, Deployment } from "kubernetes-types/apps/v1";
export type { CronJob } from "kubernetes-types/batch/v1";
export type { NetworkPolicy } from "kubernetes-types/networking/v1";

/** The type with each enum as its values. */
type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends Array<infer Item>
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

/** A query of the data source plugin for Prometheus, which publishes no types of its own here. */
interface PrometheusQuery {
  refId: string;
  datasource: { type: "prometheus"; uid: "${datasource}" };
  expr: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: "table" | "time_series";
  editorMode: "code";
}

/** What a panel has beside its plugin's own. */
type Frame = Plain<
  Pick<
    grafana.Panel,
    "id" | "title" | "description" | "datasource" | "gridPos" | "transformations"
  >
> & { targets: PrometheusQuery[] };

/** What an override sets, where Grafana's type says only that it is something. */
type Property =
  | { id: "unit"; value: string }
  | { id: "decimals" | "custom.width"; value: number }
  | { id: "thresholds"; value: Plain<grafana.ThresholdsConfig> }
  | { id: "mappings"; value: Plain<grafana.ValueMapping>[] }
  | { id: "links"; value: { title: string; url: string }[] }
  | { id: "custom.cellOptions"; value: Plain<grafana.TableCellOptions> };

type FieldConfig<Custom> = {
  defaults: Plain<Omit<grafana.FieldConfig, "custom">> & { custom?: Plain<Partial<Custom>> };
  overrides: { matcher: { id: "byName"; options: string }; properties: Property[] }[];
};

type Stat = Frame & {
  type: "stat";
  options: Plain<stat.Options>;
  fieldConfig: FieldConfig<{}>;
};
type Table = Frame & {
  type: "table";
  options: Plain<table.Options>;
  fieldConfig: FieldConfig<table.FieldConfig>;
};
type TimeSeries = Frame & {
  type: "timeseries";
  options: Plain<timeseries.Options>;
  fieldConfig: FieldConfig<timeseries.FieldConfig>;
};

/** Marks: Grafana's own fields, and those that its plugin for Prometheus keeps beside them. */
type Mark = Plain<Omit<grafana.AnnotationQuery, "target">> & {
  target: { refId: string; expr: string; interval: string };
  expr: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  useValueForTime: boolean;
};

export type CheckedDashboard = Omit<
  Plain<grafana.Dashboard>,
  "panels" | "annotations"
> & {
  uid: string;
  panels: Array<Stat | Table | TimeSeries | Plain<grafana.RowPanel>>;
  annotations: { list: Mark[] };
};
